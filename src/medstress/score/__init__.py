"""From predictions to scores, and from scores to paired drops and intervals."""
