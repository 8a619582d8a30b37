// Two views of spheres in a cell, turned together. Data: see `viewer_data` in system_view.py; lengths in nm.
(function () {
  const data = JSON.parse(document.getElementById("viewer-data").textContent);
  const start = { turn: 0.42, tilt: 0.12, zoom: 1 };
  const camera = { ...start };
  const views = data.states.map(makeView);
  const option = (id) => document.getElementById(id);

  function makeView(state) {
    const canvas = document.getElementById("view-" + state.name);
    const [a, b, c] = state.cell;
    const at = (u, v, w) => [0, 1, 2].map((k) => u * a[k] + v * b[k] + w * c[k]);
    const centre = at(0.5, 0.5, 0.5);
    const corners = [];
    for (let k = 0; k < 8; k++) corners.push(at(k & 1, (k >> 1) & 1, (k >> 2) & 1));
    const edges = [];
    for (let k = 0; k < 8; k++) for (const bit of [1, 2, 4]) if (!(k & bit)) edges.push([corners[k], corners[k | bit]]);
    const reach = Math.max(...corners.map((p) => Math.hypot(...p.map((x, k) => x - centre[k]))));
    return { state, canvas, centre, edges, reach, at };
  }

  // Turn about the vertical (z) axis, then tilt towards the viewer. Right-handed: x right, y up, depth out of the screen.
  function project(view, p) {
    const [x, y, z] = p.map((value, k) => value - view.centre[k]);
    const ct = Math.cos(camera.turn), st = Math.sin(camera.turn), cp = Math.cos(camera.tilt), sp = Math.sin(camera.tilt);
    const across = ct * x + st * y, away = -st * x + ct * y;
    return [across, cp * z + sp * away, sp * z - cp * away];
  }

  function spheres(view) {
    const { state, at } = view, list = [], around = option("neighbours").checked ? 1 : 0;
    for (let u = -around; u <= around; u++) for (let v = -around; v <= around; v++) {
      const shift = at(u, v, 0);
      state.positions.forEach((p, k) => list.push({
        p: p.map((x, j) => x + shift[j]), colour: data.colours[state.labels[k]],
        radius: option("touching").checked ? state.spacing / 2 : state.radii[k], faint: u !== 0 || v !== 0,
      }));
    }
    return list;
  }

  function draw(view) {
    const { canvas, state } = view, ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const g = canvas.getContext("2d");
    g.scale(ratio, ratio);
    g.fillStyle = "#fbfcfd";
    g.fillRect(0, 0, width, height);
    const scale = (Math.min(height, 2.2 * width) / (2 * largest + 9)) * camera.zoom;
    const screen = (p) => { const q = project(view, p); return [width / 2 + q[0] * scale, height / 2 - q[1] * scale, q[2]]; };
    const items = spheres(view).map((s) => ({ ...s, s: screen(s.p) }));
    for (const [from, to] of view.edges) for (let k = 0; k < 16; k++) {
      // Edges in pieces, so that spheres hide what lies behind them.
      const part = (t) => from.map((x, j) => x + (to[j] - x) * t);
      const p = screen(part(k / 16)), q = screen(part((k + 1) / 16));
      items.push({ line: [p, q], s: [0, 0, (p[2] + q[2]) / 2] });
    }
    items.sort((m, n) => m.s[2] - n.s[2]);
    for (const item of items) item.line ? drawLine(g, item.line) : drawSphere(g, item, scale);
    if (option("letters").checked) drawLetters(g, view, screen);
    canvas.dataset.drawn = String(items.length);
  }

  function drawLine(g, [p, q]) {
    g.strokeStyle = "#3c434c";
    g.lineWidth = 1.1;
    g.beginPath();
    g.moveTo(p[0], p[1]);
    g.lineTo(q[0], q[1]);
    g.stroke();
  }

  function drawSphere(g, item, scale) {
    const [x, y] = item.s, r = Math.max(1, item.radius * scale);
    const light = g.createRadialGradient(x - 0.35 * r, y - 0.4 * r, 0.05 * r, x, y, r);
    light.addColorStop(0, mix(item.colour, 255, 0.6));
    light.addColorStop(0.45, item.colour);
    light.addColorStop(1, mix(item.colour, 0, 0.35));
    g.globalAlpha = item.faint ? 0.16 : 1;
    g.fillStyle = light;
    g.beginPath();
    g.arc(x, y, r, 0, 2 * Math.PI);
    g.fill();
    g.globalAlpha = 1;
  }

  function mix(colour, towards, part) {
    const channels = [1, 3, 5].map((k) => parseInt(colour.slice(k, k + 2), 16));
    return "rgb(" + channels.map((v) => Math.round(v + (towards - v) * part)).join(",") + ")";
  }

  // The letter of each layer at the left edge; left out when the layers are seen from above.
  function drawLetters(g, view, screen) {
    const { state } = view, seen = new Map();
    if (!state.layers.length || Math.cos(camera.tilt) < 0.45) return;
    state.positions.forEach((p, k) => {
      const number = state.layers[k];
      const layer = seen.get(number) || { letter: state.sequence[number], label: state.labels[k], z: [] };
      layer.z.push(p[2]);
      seen.set(number, layer);
    });
    g.font = "600 15px system-ui, sans-serif";
    g.textAlign = "center";
    g.textBaseline = "middle";
    for (const { letter, label, z } of seen.values()) {
      const mean = z.reduce((m, n) => m + n, 0) / z.length;
      g.fillStyle = data.colours[label];
      g.fillText(letter, 22, screen([view.centre[0], view.centre[1], mean])[1]);
    }
  }

  const largest = Math.max(...views.map((view) => view.reach));
  let waiting = false;
  function redraw() {
    if (waiting) return;
    waiting = true;
    window.requestAnimationFrame(() => { waiting = false; views.forEach(draw); });
  }
  const { set, zoomBy } = orbit(views.map((view) => view.canvas), camera, start, { least: 0.4, most: 12 }, redraw);
  const actions = {
    "zoom-in": () => zoomBy(1.25), "zoom-out": () => zoomBy(0.8), "reset": () => set(start),
    "along-layers": () => set({ turn: 0, tilt: 0 }), "along-axis": () => set({ turn: 0, tilt: Math.PI / 2 }),
  };
  for (const [id, act] of Object.entries(actions)) option(id).addEventListener("click", act);
  for (const id of ["neighbours", "touching", "letters"]) option(id).addEventListener("change", redraw);
  window.addEventListener("resize", redraw);
  window.addEventListener("beforeprint", () => views.forEach(draw));
  views.forEach(draw);
  document.documentElement.dataset.viewer = "ready";
})();
