function figureView(figure) {
  const image = element("img", { src: figure.png, alt: `${figure.title}. ${figure.caption}`, width: figure.width, height: figure.height, loading: "lazy", decoding: "async" });
  // Drawn at 300 dots an inch for print: here, half as large.
  image.style.width = `${figure.width / 2}px`;
  const whole = element("a", { href: figure.svg, "aria-label": `${figure.title} as vector graphics` }, image);
  return element("figure", { className: "drawn", id: `figure-${figure.name}` },
    element("h2", { textContent: figure.title }), whole,
    element("figcaption", {}, figure.caption, " ", element("a", { href: figure.svg, textContent: "SVG" }), " \u00b7 ", element("a", { href: figure.png, textContent: "PNG" })));
}

function startFigures() {
  const jumps = study.figures.map((figure) => linked(figure.title, () => find(`figure-${figure.name}`).scrollIntoView()));
  find("figures").replaceChildren(element("p", { className: "links", role: "navigation", "aria-label": "Figures" }, ...jumps), ...study.figures.map(figureView));
}
