// The report of a compilation: its sections, in the order of the page.

function draw(data) {
  const model = new Model(data);
  return [
    reportHead(model),
    kernelsSection(model),
    linesSection(model),
    moduleTimesSection(model),
    timelineSection(model),
    rooflineSection(model),
    memorySection(model),
    passesSection(model),
    graphSection(model),
    refusalsSection(model),
    compilationsSection(model),
    targetSection(model),
  ];
}
