// Run by a browser: looks at every picture as a reader would, and writes what is wrong with it.
"use strict";
const wrong = [];
let looked = 0;

/** The part of a text's box that letters fill. */
function letters(text) {
  const { left, right, top, height } = text.getBoundingClientRect();
  return { text: text.textContent, left, right, top: top + height * 0.2, bottom: top + height * 0.9 };
}

/** That no texts overlap, and that none leaves the picture or its bar. */
function look(name, svg) {
  const page = svg.getBoundingClientRect();
  const said = (what, ...texts) => wrong.push(`${name}: ${what}: ${texts.map((it) => JSON.stringify(it.text)).join(" and ")}`);
  const texts = [...svg.querySelectorAll("text")].filter((it) => it.textContent.trim());
  const boxes = texts.map(letters);
  looked += boxes.length;
  if (!boxes.length) wrong.push(`${name}: there are no texts`);
  boxes.forEach((one, index) => {
    if (one.left < page.left || one.right > page.right || one.top < page.top || one.bottom > page.bottom) said("leaves the picture", one);
    const bar = texts[index].closest(".bar")?.querySelector(".fill")?.getBoundingClientRect();
    if (bar && (one.left < bar.left || one.right > bar.right + 0.5)) said("leaves its bar", one);
    for (const other of boxes.slice(index + 1)) {
      if (one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom) said("overlap", one, other);
    }
  });
  for (const element of svg.querySelectorAll("[x], [d]")) {
    if (/NaN|undefined|Infinity/.test(element.outerHTML.slice(0, 300))) wrong.push(`${name}: ${element.outerHTML.slice(0, 120)}`);
  }
}

/** What a reader does with a page. */
function use(name, frame) {
  const { contentDocument: page, contentWindow: window } = frame;
  const expect = (holds, what) => holds || wrong.push(`${name}: ${what}`);
  const key = (it) => page.dispatchEvent(new window.KeyboardEvent("keydown", { key: it, bubbles: true, cancelable: true }));
  const svg = page.querySelector("#stage svg");
  const all = svg.innerHTML;
  const ticks = () => [...svg.querySelectorAll("text.tick")].map((it) => it.textContent).join();
  const tip = page.getElementById("tip");

  expect(page.documentElement.classList.contains("js"), "the script does not run");
  expect(page.documentElement.scrollWidth <= window.innerWidth, "the page is wider than its window");
  look(name, svg);
  key("t");
  const [one, other] = [page.documentElement.className, (key("t"), page.documentElement.className)];
  expect(one !== other && /dark/.test(one + other) && /light/.test(one + other), "no light or dark");
  const ink = new Set(["light", "dark"].map((it) => {
    page.documentElement.className = "js " + it;
    look(`${name} ${it}`, svg);
    return window.getComputedStyle(svg.querySelector("text.tick, text.name")).fill;
  }));
  expect(ink.size === 2, "light and dark look the same");

  const before = ticks();
  for (let times = 0; times < 4; times += 1) key("+");
  expect(svg.innerHTML !== all, "no zoom");
  expect(page.getElementById("shown").textContent.startsWith("×"), "the zoom is not said");
  look(`${name} zoomed`, svg);
  for (const it of ["Home", "End", "ArrowLeft"]) {
    const last = svg.innerHTML;
    key(it);
    if (it !== "End" || before) expect(svg.innerHTML !== last || it === "Home", `${it} does nothing`);
    look(`${name} after ${it}`, svg);
  }
  for (let times = 0; times < 12; times += 1) key("+");
  look(`${name} far in`, svg);
  key("0");
  expect(svg.innerHTML === all, "0 does not show all again");
  const wheel = new window.WheelEvent("wheel", { deltaY: -200, ctrlKey: true, bubbles: true, cancelable: true, clientX: 200 });
  svg.dispatchEvent(wheel);
  expect(wheel.defaultPrevented && svg.innerHTML !== all, "the wheel does not zoom");
  page.querySelector("button[data-do=all]").click();
  expect(svg.innerHTML === all, "the button does not show all again");

  const items = [...svg.querySelectorAll("g[data-id]")];
  expect(items.length && items.every((it) => it.tabIndex === 0 && it.getAttribute("aria-label")), "items without keyboard or words");
  items[0].dispatchEvent(new window.PointerEvent("pointerover", { bubbles: true }));
  expect(!tip.hidden && tip.textContent === items[0].getAttribute("aria-label"), "no details under the pointer");
  const box = tip.getBoundingClientRect();
  expect(box.left >= 0 && box.right <= window.innerWidth, "the details leave the window");
  key("Escape");
  expect(tip.hidden, "Escape does not close the details");
  items.at(-1).dispatchEvent(new window.FocusEvent("focusin", { bubbles: true }));
  expect(!tip.hidden && tip.textContent === items.at(-1).getAttribute("aria-label"), "no details with the focus");
  key("?");
  expect(!page.getElementById("keys").hidden, "? does not show the keys");
  key("?");
  expect(window.performance.getEntriesByType("resource").length === 0, "something was loaded");
  expect(!page.querySelector("script[src], link, img, iframe"), "something comes from elsewhere");
}

/** That a screenshot shows something. */
function colours(image) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const pen = canvas.getContext("2d");
  pen.drawImage(image, 0, 0);
  const pixels = new Uint32Array(pen.getImageData(0, 0, canvas.width, canvas.height).data.buffer);
  const found = new Set(pixels);
  if (found.size < 50) wrong.push(`${image.id}: only ${found.size} colours`);
  return pixels[0];
}

addEventListener("load", () => {
  try {
    for (const svg of document.querySelectorAll(".still svg")) look(svg.parentElement.id, svg);
    for (const frame of document.querySelectorAll("iframe")) use(frame.id, frame);
    const corners = new Set([...document.querySelectorAll("img")].map(colours));
    if (corners.size !== 2) wrong.push("light and dark screenshots have one background");
  } catch (error) {
    wrong.push(`${error} ${error.stack}`);
  }
  const verdict = document.getElementById("verdict");
  verdict.textContent = wrong.length ? wrong.slice(0, 40).join("\n") : `fine, ${looked} texts`;
});
