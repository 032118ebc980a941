"""The page of a study: results/{study}/index.html, which opens from disk without a network."""
