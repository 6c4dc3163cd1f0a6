// Asks for what is new, draws it, asks again: a browser that is slow asks less often.

const CAPTION_PX = 39;
const TWO_LINES_PX = 59; // the caption of a tile narrower than NARROW_PX
const NARROW_PX = 380;
const SMALLEST_PX = 220;
const FRAME_MS = 1000 / 30;
const TRIES = 20;

const client = Array.from(crypto.getRandomValues(new Uint32Array(3)), (n) => n.toString(36)).join("");
const main = document.getElementById("tiles");
const tiles = new Map();
let isPaused = false;
let isEnded = false;
let enlarged = null;
let asking = new AbortController();

class Tile {
  constructor(key, place) {
    this.key = key;
    this.place = place;
    this.serial = 0;
    this.aspect = 16 / 9;
    this.element = document.getElementById("tile").content.firstElementChild.cloneNode(true);
    this.picture = this.element.querySelector(".picture");
    this.canvas = this.element.querySelector("canvas");
    this.context = this.canvas.getContext("bitmaprenderer");
    this.element.dataset.key = key;
    this.element.classList.add("empty");
    this.picture.disabled = true;
    this.picture.addEventListener("click", () => enlarge(enlarged === this ? null : this));
    const next = [...tiles.values()].filter((tile) => tile.place > place).sort((a, b) => a.place - b.place)[0];
    main.insertBefore(this.element, next?.element ?? null);
  }

  text(part, value) {
    const element = this.element.querySelector(`.${part}`);
    if (element.textContent !== value) element.textContent = value;
  }

  describe(state, showsView) {
    this.text("source", state.source);
    this.text("view", showsView ? state.view : "");
    this.text("rate", isEnded ? "" : `${state.rate.toFixed(state.rate < 100 ? 1 : 0)} fps`);
    const name = showsView ? `${state.source}, ${state.view}` : state.source;
    this.picture.setAttribute("aria-label", `${name}, ${enlarged === this ? "show all" : "enlarge"}`);
    this.element.classList.toggle("problem", Boolean(state.problem));
    if (state.problem) this.text("notice", state.problem);
    else if (this.serial) this.text("notice", "");
  }

  async show(state, file) {
    let bitmap;
    try {
      bitmap = await createImageBitmap(new Blob([file], { type: state.type }));
    } catch {
      this.text("notice", "This browser can't show the frame.");
      return;
    } finally {
      this.serial = state.serial;
    }
    const [width, height] = state.size;
    if (this.canvas.width !== bitmap.width || this.canvas.height !== bitmap.height) {
      this.canvas.width = bitmap.width;
      this.canvas.height = bitmap.height;
      this.canvas.classList.toggle("small", width <= 160);
    }
    this.context.transferFromImageBitmap(bitmap);
    this.text("size", `${width}\u2009×\u2009${height}`);
    this.text("number", `#${state.number}`);
    if (this.picture.disabled) {
      this.picture.disabled = false;
      this.element.classList.remove("empty");
    }
    if (this.aspect !== width / height) {
      this.aspect = width / height;
      layOut();
    }
  }
}

/** The number of columns that makes the tiles largest; on a narrow page they are as wide as it is. */
function layOut() {
  const shown = enlarged ? [enlarged] : [...tiles.values()];
  if (!shown.length) return;
  const style = getComputedStyle(main);
  const gap = parseFloat(style.columnGap);
  const wide = main.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
  const high = window.innerHeight - document.querySelector("header").offsetHeight - gap;
  const aspect = Math.min(...shown.map((tile) => tile.aspect));
  let best = { columns: 1, width: 0 };
  for (let columns = 1; columns <= shown.length; columns++) {
    const rows = Math.ceil(shown.length / columns);
    const across = (wide - gap * (columns - 1)) / columns;
    const fit = (caption) => Math.floor(Math.min(across, ((high - gap * (rows - 1)) / rows - caption - 2) * aspect));
    let width = fit(CAPTION_PX);
    if (width < NARROW_PX) width = fit(TWO_LINES_PX);
    if (width > best.width) best = { columns, width };
  }
  if (wide < 560) best = { columns: 1, width: wide };
  else if (best.width < SMALLEST_PX) {
    const columns = Math.min(shown.length, Math.max(1, Math.floor((wide + gap) / (SMALLEST_PX + gap))));
    best = { columns, width: Math.floor((wide - gap * (columns - 1)) / columns) };
  }
  main.style.setProperty("--columns", best.columns);
  main.style.setProperty("--tile", `${best.width}px`);
  for (const tile of shown) tile.element.classList.toggle("narrow", best.width < NARROW_PX);
}

function enlarge(tile) {
  enlarged?.element.classList.remove("enlarged");
  enlarged?.picture.setAttribute("aria-pressed", "false");
  enlarged = tile;
  tile?.element.classList.add("enlarged");
  tile?.picture.setAttribute("aria-pressed", "true");
  main.classList.toggle("is-enlarged", tile !== null);
  layOut();
  asking.abort();
}

function pause(value) {
  isPaused = value;
  const button = document.getElementById("pause");
  button.setAttribute("aria-pressed", String(value));
  button.textContent = value ? "Resume" : "Pause";
  if (["live", "paused"].includes(document.body.dataset.state)) live();
  asking.abort();
}

function say(state, text) {
  document.body.dataset.state = state;
  const status = document.getElementById("status");
  if (status.textContent !== text) status.textContent = text;
}

function live() {
  say(isPaused ? "paused" : "live", isPaused ? "Paused" : "Live");
}

/** Tiles are in the order of their views, and there in the order in which their sources came. */
function tileFor(key, place) {
  if (!tiles.has(key)) {
    tiles.set(key, new Tile(key, place));
    layOut();
  }
  return tiles.get(key);
}

/** Places for views that have shown nothing yet. */
function showWaiting(names, views) {
  const keys = new Set(names.map((name) => `waiting ${name}`));
  for (const [key, tile] of tiles) {
    if (String(key).startsWith("waiting ") && !keys.has(key)) {
      tile.element.remove();
      tiles.delete(key);
      layOut();
    }
  }
  for (const name of names) {
    const tile = tileFor(`waiting ${name}`, views.indexOf(name));
    tile.text("source", name);
    tile.text("notice", isEnded ? "No frame came" : "Waiting for the first frame");
  }
}

async function show(buffer) {
  const bytes = new Uint8Array(buffer);
  const length = new DataView(buffer).getUint32(0, true);
  const state = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  let at = 4 + length;
  isEnded = state.ended;
  document.getElementById("program").textContent = state.program;
  document.title = isEnded ? `${state.program} (ended)` : state.program;
  if (isEnded) say("ended", "Ended, no more frames");
  else live();
  showWaiting(state.waiting, state.views);
  const drawn = [];
  for (const one of state.tiles) {
    const tile = tileFor(one.key, state.views.indexOf(one.view) + one.key / (one.key + 1));
    if (one.bytes) {
      drawn.push(tile.show(one, bytes.subarray(at, at + one.bytes)));
      at += one.bytes;
    }
    if (one.problem) tile.serial = one.serial;
    tile.describe(one, state.views.length > 1);
  }
  await Promise.all(drawn);
}

function question() {
  const isHidden = isPaused || document.hidden;
  const shown = enlarged ?? tiles.values().next().value;
  const width = shown ? Math.ceil(shown.element.clientWidth * window.devicePixelRatio) : 640;
  const seen = [...tiles.values()].filter((tile) => tile.serial).map((tile) => `${tile.key}.${tile.serial}`);
  const frames = isHidden ? "none" : enlarged ? enlarged.key : "all";
  return new URLSearchParams({ client, width, frames, seen: seen.join(",") });
}

const rest = (ms) => new Promise((done) => setTimeout(done, ms));

/** The program waits a moment for those that it has not told of the end. */
const leave = () => fetch(`bye?client=${client}`, { keepalive: true }).catch(() => {});

async function follow() {
  let failures = 0;
  while (!isEnded) {
    const begun = performance.now();
    asking = new AbortController();
    try {
      const response = await fetch(`next?${question()}`, { signal: asking.signal });
      if (!response.ok) throw new Error(`status ${response.status}`);
      const answer = await response.arrayBuffer();
      failures = 0;
      await show(answer);
    } catch (error) {
      if (error.name === "AbortError") continue;
      failures += 1;
      if (failures > TRIES) return say("lost", "The program no longer answers");
      say("lost", "The program does not answer, trying again");
      await rest(Math.min(250 * 2 ** failures, 3000));
      continue;
    }
    const left = begun + FRAME_MS - performance.now();
    if (left > 0 && !document.hidden) await rest(left);
  }
  await leave();
}

document.getElementById("pause").addEventListener("click", () => pause(!isPaused));
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && enlarged) enlarge(null);
  if (event.key.toLowerCase() === "p" && !isEnded) pause(!isPaused);
});
document.addEventListener("visibilitychange", () => asking.abort());
window.addEventListener("resize", layOut);
window.addEventListener("pagehide", () => isEnded || leave());
follow();
