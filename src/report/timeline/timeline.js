"use strict";
// Draws the lanes anew for each width and each zoom. What lies where in time, of 1, stands in the
// page; here it becomes pixels. Without this script the picture stays as it is.
(() => {
  const model = JSON.parse(document.getElementById("model").textContent);
  const stage = document.getElementById("stage");
  const svg = stage.querySelector("svg");
  const tip = document.getElementById("tip");
  const keys = document.getElementById("keys");
  const shown = document.getElementById("shown");
  const root = document.documentElement;
  const MARGIN = 24, RIGHT = 56, FLAG = 18, MOST = 20000;
  const view = { zoom: 1, from: 0, left: 0, plot: 0, width: 0 };
  const layer = make("g", {});

  // Elements and texts.

  function make(name, attributes, ...children) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  }

  const pen = document.createElement("canvas").getContext("2d");
  const family = getComputedStyle(svg).fontFamily;
  const widths = new Map();

  function measure(text, size, bold) {
    const key = size + (bold ? "b" : "r") + text;
    if (!widths.has(key)) {
      pen.font = `${bold ? 600 : 400} ${size}px ${family}`;
      widths.set(key, pen.measureText(text).width * 1.03 + 1);
    }
    return widths.get(key);
  }

  /** The text, or its beginning; with `ends`, without its middle. */
  function fit(text, size, room, ends) {
    if (measure(text, size) <= room) return text;
    const letters = [...text];
    let [least, most] = [0, letters.length];
    const cut = (kept) => {
      const back = ends ? Math.ceil(kept * 0.6) : 0;
      return letters.slice(0, kept - back).join("") + "…" + (back ? letters.slice(-back).join("") : "");
    };
    while (least < most) {
      const middle = Math.ceil((least + most) / 2);
      if (measure(cut(middle), size) <= room) least = middle; else most = middle - 1;
    }
    return least > 2 ? cut(least) : "";
  }

  function write(parent, text, x, y, size, kind) {
    const small = size === 11 ? " small" : size === 10 ? " tiny" : "";
    if (text) parent.append(make("text", { class: kind + small, x: x.toFixed(1), y: y.toFixed(1) }, text));
  }

  function item(kind, id, detail) {
    return make("g", { class: kind, tabindex: 0, role: "img", "aria-label": detail, "data-id": id });
  }

  // Time.

  const SECOND = 1e9;

  function round(time) {
    const decimal = (value, digits) => String(Number(value.toFixed(digits)));
    if (time === 0) return "0";
    if (time < 1e6) return decimal(time / 1e3, 3) + " us";
    if (time < SECOND) return decimal(time / 1e6, 6) + " ms";
    const parts = [];
    for (const [size, unit] of [[86400e9, "d"], [3600e9, "h"], [60e9, "min"]]) {
      if (time >= size) {
        parts.push(Math.floor(time / size) + " " + unit);
        time %= size;
      }
    }
    if (time > 0) parts.push(decimal(time / SECOND, 9) + " s");
    return parts.join(" ");
  }

  const place = (part) => view.left + (part - view.from) * view.zoom * view.plot;
  const right = () => view.left + view.plot;
  const isSeen = (x, end) => end >= view.left - 0.5 && x <= right() + 0.5;

  // Drawing, from back to front.

  function draw() {
    const focused = document.activeElement?.dataset?.id;
    view.width = Math.max(stage.clientWidth, 280);
    view.left = Math.min(Math.max(view.width * 0.17, 96), 200);
    view.plot = Math.max(view.width - view.left - RIGHT, 120);
    svg.setAttribute("width", view.width);
    svg.setAttribute("height", model.height);
    svg.setAttribute("viewBox", `0 0 ${view.width} ${model.height}`);
    svg.classList.toggle("zoomed", view.zoom > 1);
    layer.replaceChildren(make("rect", { class: "page", width: view.width, height: model.height }));
    drawAxis();
    const flags = gathered();
    for (const flag of flags) {
      layer.append(make("path", { class: "finding-line", d: `M${flag.x} ${model.flags_top + FLAG}V${flag.bottom}` }));
    }
    const front = make("g", {});
    for (const flag of flags) drawFlag(front, flag);
    model.lanes.forEach(drawLane);
    layer.append(front);
    shown.textContent = view.zoom > 1 ? `×${view.zoom < 10 ? view.zoom.toFixed(1) : Math.round(view.zoom)}` : "";
    if (focused) layer.querySelector(`[data-id="${focused}"]`)?.focus({ preventScroll: true });
  }

  function drawAxis() {
    const { top, bottom } = model;
    const taken = [];
    const texts = [];
    const say = (text, center) => {
      const long = measure(text, 11);
      const x = Math.min(Math.max(center - long / 2, view.left - 20), right() + 30 - long);
      if (taken.some(([from, to]) => x + long + 10 > from && to + 10 > x)) return;
      taken.push([x, x + long]);
      texts.push([text, x]);
    };
    const clipped = (segment) => [Math.max(place(segment.from), view.left), Math.min(place(segment.to), right())];
    for (const segment of model.segments) {
      const [x, end] = clipped(segment);
      if (segment.kind === "scale" || end <= x) continue;
      say(segment.said, (x + end) / 2);
      layer.append(make("rect", { class: segment.kind, x, y: top, width: end - x, height: bottom - top }));
      if (segment.kind === "gap") {
        layer.append(make("path", { class: "break", d: `M${(x + end) / 2 - 5} ${bottom + 5}l4 -10m4 0l-4 10` }));
      } else {
        layer.append(make("path", { class: "bracket", d: `M${x} ${bottom}v4H${end}v-4` }));
      }
    }
    const beside = new Set(model.segments.filter((it) => it.kind === "order").flatMap((it) => [it.begin, it.end]));
    for (const segment of model.segments) {
      if (segment.kind !== "scale") continue;
      const [x, end] = clipped(segment);
      const pixels = (place(segment.to) - place(segment.from)) / Math.max(segment.end - segment.begin, 1);
      const step = model.steps.find((step) => step * pixels >= 84);
      if (end <= x || !step) continue;
      const first = segment.begin + (x - place(segment.from)) / pixels;
      const last = Math.min(segment.end, segment.begin + (end - place(segment.from)) / pixels);
      // Far from the beginning, round times are counted from where the part begins.
      const origin = segment.origin && segment.begin / 1000 > step ? segment.begin : 0;
      for (let at = origin + Math.ceil((first - origin) / step) * step; at <= last; at += step) {
        const tick = place(segment.from) + (at - segment.begin) * pixels;
        layer.append(make("path", { class: "grid", d: `M${tick.toFixed(1)} ${top}V${bottom + 4}` }));
        if (beside.has(at)) continue;
        say(!origin ? round(at) : at === origin ? segment.origin : "+" + round(at - origin), tick);
      }
    }
    layer.append(make("path", { class: "base", d: `M${view.left} ${bottom}H${right()}` }));
    for (const [text, x] of texts) write(layer, text, x, bottom + 20, 11, "tick");
  }

  function drawLane(lane, index) {
    const room = view.left - MARGIN - 12;
    for (const [text, y, size, kind, alike] of lane.names) {
      const isWhole = !alike || measure(text, size) <= room;
      const name = isWhole ? fit(text, size, room, true) : fit("…" + [...text].slice(alike).join(""), size, room);
      write(layer, name, MARGIN, y, size, kind);
    }
    let last = -1;
    lane.bars.forEach((bar, number) => {
      const begin = place(bar.from);
      const next = number + 1 < lane.bars.length ? place(lane.bars[number + 1].from) : right();
      const finish = Math.max(place(bar.to), begin + Math.min(Math.max(next - begin, 0), 2));
      if (!isSeen(begin, finish)) return;
      const [x, end] = [Math.max(begin, view.left), Math.min(finish, right())];
      const width = Math.max(end - x, 0);
      if (lane.bars.length > 2000 && width < 0.3 && x - last < 0.3) return;
      last = x;
      layer.append(drawBar(lane, bar, `b${index}-${number}`, x, width, begin === x, finish === end));
    });
    drawMarks(lane, index);
  }

  function drawBar(lane, bar, id, x, width, begins, ends) {
    const group = item("bar " + bar.kind, id, bar.detail);
    const form = { x: x.toFixed(1), y: lane.bar_y, width: width.toFixed(2), height: lane.bar_height, rx: width > 6 && begins && ends ? 2.5 : 0 };
    group.append(make("rect", { ...form, class: "fill" }));
    if (bar.over) group.append(make("rect", { ...form, class: bar.over }));
    if (bar.open && width > 6 && ends) group.append(make("path", { class: "open", d: `M${x + width} ${lane.bar_y}v${lane.bar_height}` }));
    const space = width - 9;
    const said = bar.said.find((text) => measure(text, 11) <= space)
      || (space > 56 && bar.letter && bar.said.length > 1 && fit(bar.said[1], 11, space))
      || (bar.letter && measure(bar.letter, 11) <= space && bar.letter);
    if (said) write(group, said, x + 5, lane.bar_y + lane.bar_height / 2 + 4, 11, "on-bar");
    return group;
  }

  function drawMarks(lane, index) {
    const spots = [];
    const said = (times) => (times < 2 ? "" : times < 1000 ? `×${times}` : "×1000+");
    lane.marks.forEach((mark, number) => {
      const x = place(mark.at);
      if (!isSeen(x, x)) return;
      const last = spots.at(-1);
      if (last && x < last.x + 15 + (last.times > 1 ? measure(said(last.times), 10) + 2 : 0)) {
        last.times += mark.times;
        last.details.push(mark.detail);
        if (mark.gravity > last.mark.gravity) last.mark = mark;
      } else {
        spots.push({ x, number, mark, times: mark.times, details: [mark.detail] });
      }
    });
    for (const { x, number, mark, times, details } of spots) {
      const more = details.length > 6 ? `\nand ${details.length - 6} more` : "";
      const group = item("mark " + mark.kind, `m${index}-${number}`, details.slice(0, 6).join("\n") + more);
      group.append(make("circle", { cx: x, cy: lane.mark_y, r: 8, fill: "transparent" }));
      group.append(make("path", { class: "glyph", transform: `translate(${x.toFixed(1)} ${lane.mark_y})`, d: model.forms[mark.kind] }));
      write(group, said(times), x + 7, lane.mark_y + 4, 10, "times");
      layer.append(group);
    }
  }

  /** The findings' flags that are seen; those that would lie on one another are one. */
  function gathered() {
    const flags = [];
    for (const finding of model.findings) {
      const x = place(finding.at);
      if (!isSeen(x, x)) continue;
      let flag = placed({ x, findings: [finding] });
      while (flags.length && flag.left < flags.at(-1).left + flags.at(-1).width + 6) {
        const last = flags.pop();
        flag = placed({ x: last.x, findings: [...last.findings, ...flag.findings] });
      }
      flags.push(flag);
    }
    return flags;
  }

  function placed({ x, findings }) {
    const [one, other] = [findings[0], findings.at(-1)];
    const text = one === other ? `${one.number}` : `${one.number}–${other.number}`;
    const width = Math.max(measure(text, 11, true) + 8, FLAG);
    const left = Math.min(Math.max(x - width / 2, view.left - 40), right() + 40 - width);
    const lanes = [...new Set(findings.flatMap((it) => it.lanes))];
    const bottom = Math.max(model.top, ...lanes.map((it) => model.lanes[it].bar_y + model.lanes[it].bar_height));
    return { x, findings, text, width, left, lanes, bottom };
  }

  function drawFlag(parent, flag) {
    const said = flag.findings.slice(0, 6).map((it) => `${it.number}. ${it.property}: ${it.text}`);
    if (flag.findings.length > 6) said.push(`and ${flag.findings.length - 6} more`);
    const group = item("flag", `f${flag.findings[0].number}`, said.join("\n"));
    for (const lane of flag.lanes) group.append(make("circle", { class: "ring", cx: flag.x, cy: model.lanes[lane].bar_y, r: 3.5 }));
    group.append(make("rect", { class: "badge", x: flag.left, y: model.flags_top, width: flag.width, height: FLAG, rx: 4 }));
    write(group, flag.text, flag.left + (flag.width - measure(flag.text, 11, true)) / 2 + 0.5, model.flags_top + 13, 11, "number");
    parent.append(group);
  }

  // What a reader does.

  function zoom(factor, around = 0.5) {
    const at = view.from + around / view.zoom;
    view.zoom = Math.min(Math.max(view.zoom * factor, 1), MOST);
    pan(at - around / view.zoom);
  }

  function pan(from) {
    view.from = Math.min(Math.max(from, 0), 1 - 1 / view.zoom);
    hide();
    draw();
  }

  function tell(element) {
    const group = element?.closest?.("g[data-id]");
    if (!group) return hide();
    tip.textContent = group.getAttribute("aria-label");
    tip.hidden = false;
    const box = group.getBoundingClientRect();
    const { offsetWidth: wide, offsetHeight: high } = tip;
    const below = box.bottom + 8 + high <= innerHeight;
    tip.style.left = Math.max(8, Math.min(box.left, innerWidth - wide - 8)) + "px";
    tip.style.top = Math.max(8, below ? box.bottom + 8 : box.top - high - 8) + "px";
  }

  function hide() {
    tip.hidden = true;
  }

  function theme() {
    const isDark = root.classList.contains("dark")
      || (!root.classList.contains("light") && matchMedia("(prefers-color-scheme: dark)").matches);
    root.classList.toggle("dark", !isDark);
    root.classList.toggle("light", isDark);
  }

  const actions = {
    in: () => zoom(1.5),
    out: () => zoom(1 / 1.5),
    all: () => { view.zoom = 1; pan(0); },
    left: () => pan(view.from - 0.15 / view.zoom),
    right: () => pan(view.from + 0.15 / view.zoom),
    first: () => pan(0),
    last: () => pan(1),
    theme,
    keys: () => { keys.hidden = !keys.hidden; },
    close: () => { keys.hidden = true; hide(); },
  };
  const bindings = {
    "+": "in", "=": "in", "-": "out", "0": "all", ArrowLeft: "left", ArrowRight: "right",
    Home: "first", End: "last", t: "theme", "?": "keys", Escape: "close",
  };

  document.addEventListener("keydown", (event) => {
    const action = bindings[event.key];
    if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    actions[action]();
  });
  document.querySelectorAll("button[data-do]").forEach((button) => {
    button.addEventListener("click", () => actions[button.dataset.do]());
  });
  // Where the page itself scrolls, the wheel zooms with Ctrl only.
  stage.addEventListener("wheel", (event) => {
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      pan(view.from + (event.deltaX || event.deltaY) / view.plot / view.zoom);
    } else if (event.ctrlKey || root.scrollHeight <= innerHeight) {
      event.preventDefault();
      const x = event.clientX - stage.getBoundingClientRect().left - view.left;
      zoom(Math.exp(-event.deltaY / 400), Math.min(Math.max(x / view.plot, 0), 1));
    }
  }, { passive: false });
  let dragged = null;
  svg.addEventListener("pointerdown", (event) => { dragged = { x: event.clientX, from: view.from }; });
  addEventListener("pointermove", (event) => {
    if (dragged && event.buttons && view.zoom > 1) pan(dragged.from - (event.clientX - dragged.x) / view.plot / view.zoom);
  });
  addEventListener("pointerup", () => { dragged = null; });
  stage.addEventListener("pointerover", (event) => tell(event.target));
  stage.addEventListener("pointerleave", hide);
  stage.addEventListener("focusin", (event) => tell(event.target));
  stage.addEventListener("focusout", hide);
  addEventListener("resize", draw);
  addEventListener("scroll", hide, { passive: true });

  root.classList.add("js");
  svg.replaceChildren(...svg.querySelectorAll(":scope > title, :scope > desc, :scope > defs"), layer);
  draw();
})();
