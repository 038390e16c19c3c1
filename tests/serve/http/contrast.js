// Texts whose contrast against the colours behind them is below 4.5, as WCAG 2 computes it; any notation, by painting it.
() => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
  const rgba = (colour, below) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const one of [below, colour]) if (one) { canvas.fillStyle = one; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const css = ([r, g, b]) => `rgb(${r} ${g} ${b})`;
  const luminance = (colour) => {
    const linear = (one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = colour.map((one) => linear(one / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const above = element.parentElement ? behind(element.parentElement) : [255, 255, 255];
    return rgba(getComputedStyle(element).backgroundColor, css(above));
  };
  const found = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    const text = own || (element.matches('input') && (element.value || element.placeholder));
    if (!text || element.closest('.hidden, .skip, [hidden], option, :disabled') || !element.checkVisibility()) continue;
    const back = behind(element);
    const [light, dark] = [luminance(back), luminance(rgba(getComputedStyle(element).color, css(back)))].sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    if (ratio < 4.5) found.push(`${element.tagName}.${element.className} ${element.textContent.slice(0, 30)} ${ratio.toFixed(2)}`);
  }
  return found;
}
