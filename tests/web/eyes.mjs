// What a checker of accessibility looks for, measured on the page as it is rendered.

/** Runs in the page; returns complaints. */
export function complaintsOf() {
  const complaints = [];
  const seen = (element) => element.checkVisibility({ visibilityProperty: true }) && !element.closest(".unseen, [hidden]");
  const all = (selector) => [...document.querySelectorAll(selector)].filter(seen);
  const told = (element) => `<${element.localName}${element.id ? ` id=${element.id}` : ""}> ${element.textContent.trim().slice(0, 40)}`;
  const say = (what, element) => complaints.push(`${what}: ${told(element)}`);

  // Frame: language, title, landmarks, headings.
  if (document.documentElement.lang === "") complaints.push("no language");
  if (!/\S · dgns$/.test(document.title)) complaints.push(`title: ${document.title}`);
  for (const [selector, count] of [["main", 1], ["header", 1], ["footer", 1], ["h1", 1], ["a.skip[href='#main']", 1]]) {
    if (document.querySelectorAll(selector).length !== count) complaints.push(`${count} ${selector} expected`);
  }
  for (const nav of document.querySelectorAll("nav")) if (!nav.hasAttribute("aria-label")) say("a nav without a name", nav);
  all("h1, h2, h3, h4").reduce((level, heading) => {
    const next = Number(heading.localName[1]);
    if (next > level + 1) say(`h${next} behind h${level}`, heading);
    return next;
  }, 0);

  // Names of what can be used, and references that lead somewhere.
  const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
  for (const id of ids.filter((one, i) => ids.indexOf(one) !== i)) complaints.push(`id ${id} twice`);
  for (const name of ["aria-describedby", "aria-labelledby", "for"]) {
    for (const element of document.querySelectorAll(`[${name}]`)) {
      for (const id of element.getAttribute(name).split(" ")) if (!ids.includes(id)) say(`${name}=${id} leads nowhere`, element);
    }
  }
  for (const input of all("input, select, textarea")) if (input.labels.length === 0 && !input.hasAttribute("aria-label")) say("no label", input);
  for (const element of all("a[href], button, summary")) if ((element.getAttribute("aria-label") ?? element.textContent).trim() === "") say("no name", element);
  for (const image of all("img")) if (!image.hasAttribute("alt")) say("no alt", image);
  for (const drawing of all("svg")) if (!drawing.hasAttribute("aria-hidden") && !drawing.hasAttribute("aria-label")) say("a drawing without words", drawing);
  for (const element of document.querySelectorAll("[tabindex]")) if (element.tabIndex > 0) say("an order of its own", element);

  // Targets that a finger meets, text that fits, contrast that eyes can read.
  for (const element of all("button, summary, input, nav a")) {
    const { width, height } = element.getBoundingClientRect();
    if ((width < 24 || height < 24) && !element.closest("label")) say(`${Math.round(width)} x ${Math.round(height)} is too small`, element);
  }
  if (document.documentElement.scrollWidth > innerWidth) complaints.push(`${document.documentElement.scrollWidth} pixels wide in ${innerWidth}`);
  const channels = (color) => color.match(/[\d.]+/g).map(Number);
  const luminance = (rgb) => rgb.map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)).reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let at = element; at !== null; at = at.parentElement) {
      const [r, g, b, a = 1] = channels(getComputedStyle(at).backgroundColor);
      if (a > 0) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = texts.nextNode(); node !== null; node = texts.nextNode()) {
    const element = node.parentElement;
    if (node.data.trim() === "" || !seen(element) || element.closest("noscript, [disabled], svg")) continue;
    const style = getComputedStyle(element);
    const size = parseFloat(style.fontSize);
    const least = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
    const [light, dark] = [luminance(channels(style.color).slice(0, 3)), luminance(behind(element))].sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    if (ratio < least) say(`contrast ${ratio.toFixed(2)}`, element);
  }
  return complaints;
}

/** Returns what the keyboard reaches, in its order, as far as `count` steps. */
export async function tabOrder(page, count) {
  const order = [];
  for (let i = 0; i < count; i++) {
    await page.keyboard.press("Tab");
    order.push(await page.evaluate(() => {
      const element = document.activeElement;
      const { outlineStyle, outlineWidth } = getComputedStyle(element);
      return { what: element.id || element.textContent.trim(), shown: outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 };
    }));
  }
  return order;
}
