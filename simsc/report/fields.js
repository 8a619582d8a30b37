// The intensity as a surface in 3D, and correlation maps that can be read off. Data: see `field_data` in interactive.py.
(function () {
  const data = JSON.parse(document.getElementById("field-data").textContent);
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const STOPS = [[68, 1, 84], [72, 40, 120], [62, 74, 137], [49, 104, 142], [38, 130, 142], [31, 158, 137], [53, 183, 121],
    [109, 205, 89], [180, 222, 44], [253, 231, 37]]; // viridis
  function colour(part) {
    const x = Math.max(0, Math.min(1, part)) * (STOPS.length - 1), k = Math.min(STOPS.length - 2, Math.floor(x));
    return STOPS[k].map((v, j) => v + (STOPS[k + 1][j] - v) * (x - k));
  }

  // Surfaces: rays are followed through the volume until they meet the level; no library, no graphics card needed.
  const start = { turn: 0.5, tilt: 0.25, zoom: 1 }, camera = { ...start };
  const slider = document.getElementById("surface-level");
  const surfaces = Object.entries(data.surfaces).map(([name, field]) => ({
    ...field, values: bytes(field.values), canvas: document.getElementById("surface-" + name),
  }));
  const reach = Math.max(...surfaces.map((s) => Math.max(...s.ends.flat().map(Math.abs))));

  function basis() {
    const ct = Math.cos(camera.turn), st = Math.sin(camera.turn), cp = Math.cos(camera.tilt), sp = Math.sin(camera.tilt);
    return { right: [ct, st, 0], up: [-st * sp, ct * sp, cp], toEye: [st * cp, -ct * cp, sp] };
  }

  function cast(surface, size, scale, level) {
    const { shape: [nx, ny, nz], ends, values } = surface, { right, up, toEye } = basis();
    const perVoxel = ends.map(([low, high], k) => (surface.shape[k] - 1) / (high - low));
    const image = new ImageData(size, size), pixels = image.data;
    const at = (x, y, z) => {
      const i = Math.floor(x), j = Math.floor(y), k = Math.floor(z);
      if (i < 0 || j < 0 || k < 0 || i >= nx - 1 || j >= ny - 1 || k >= nz - 1) return 0;
      const u = x - i, v = y - j, w = z - k, p = (i * ny + j) * nz + k, q = p + ny * nz;
      const near = (values[p] * (1 - w) + values[p + 1] * w) * (1 - v) + (values[p + nz] * (1 - w) + values[p + nz + 1] * w) * v;
      const far = (values[q] * (1 - w) + values[q + 1] * w) * (1 - v) + (values[q + nz] * (1 - w) + values[q + nz + 1] * w) * v;
      return near * (1 - u) + far * u;
    };
    const step = 0.8 / Math.max(...perVoxel);
    const move = toEye.map((c, k) => -c * step * perVoxel[k]);
    const limits = [nx - 1, ny - 1, nz - 1];
    for (let row = 0; row < size; row++) for (let column = 0; column < size; column++) {
      const a = (column + 0.5 - size / 2) / scale, b = (size / 2 - row - 0.5) / scale;
      // In voxels: where the ray passes nearest the origin, then where it enters and leaves the box.
      const o = [0, 1, 2].map((k) => (a * right[k] + b * up[k] - ends[k][0]) * perVoxel[k]);
      let first = -1e9, last = 1e9;
      for (let k = 0; k < 3; k++) {
        if (Math.abs(move[k]) < 1e-12) { if (o[k] < 0 || o[k] > limits[k]) last = -1e9; continue; }
        const one = -o[k] / move[k], other = (limits[k] - o[k]) / move[k];
        first = Math.max(first, Math.min(one, other));
        last = Math.min(last, Math.max(one, other));
      }
      for (let t = Math.ceil(first); t <= last; t++) {
        const x = o[0] + t * move[0], y = o[1] + t * move[1], z = o[2] + t * move[2];
        if (at(x, y, z) < level) continue;
        let before = t - 1, after = t;
        for (let n = 0; n < 4; n++) {
          const m = (before + after) / 2;
          if (at(o[0] + m * move[0], o[1] + m * move[1], o[2] + m * move[2]) < level) before = m; else after = m;
        }
        const p = [0, 1, 2].map((k) => o[k] + after * move[k]);
        const h = 0.9;
        const slope = [at(p[0] - h, p[1], p[2]) - at(p[0] + h, p[1], p[2]), at(p[0], p[1] - h, p[2]) - at(p[0], p[1] + h, p[2]),
          at(p[0], p[1], p[2] - h) - at(p[0], p[1], p[2] + h)].map((v, k) => v * perVoxel[k]);
        const length = Math.hypot(...slope) || 1;
        const facing = (slope[0] * toEye[0] + slope[1] * toEye[1] + slope[2] * toEye[2]) / length;
        const above = (slope[0] * up[0] + slope[1] * up[1] + slope[2] * up[2]) / length;
        const light = 0.35 + 0.5 * Math.max(0, facing) + 0.25 * Math.max(0, above);
        const q = Math.hypot(...p.map((v, k) => v / perVoxel[k] + ends[k][0]));
        const rgb = colour(q / reach), place = 4 * (row * size + column);
        for (let k = 0; k < 3; k++) pixels[place + k] = Math.min(255, rgb[k] * light + 22);
        pixels[place + 3] = 255;
        break;
      }
    }
    return image;
  }

  function drawSurface(surface, fine) {
    const { canvas } = surface, ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight, side = Math.min(width, height);
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const g = canvas.getContext("2d");
    g.scale(ratio, ratio);
    g.fillStyle = "#fbfcfd";
    g.fillRect(0, 0, width, height);
    const scale = (side / (2.7 * reach)) * camera.zoom, { right, up } = basis();
    const screen = (q) => [0, 1].map((k) => {
      const along = (k ? up : right).reduce((sum, c, j) => sum + c * q[j], 0);
      return k ? height / 2 - along * scale : width / 2 + along * scale;
    });
    g.strokeStyle = "#c4cad3";
    const ends = surface.ends.map((span, k) => [0, 1, 2].map((j) => (j === k ? span[1] : 0)));
    ends.forEach((end) => {
      g.beginPath();
      g.moveTo(...screen(end.map((v) => -v)));
      g.lineTo(...screen(end));
      g.stroke();
    });
    const size = Math.round(side * (fine ? Math.min(ratio, 1.5) : 0.4));
    const level = 255 * (Number(slider.value) / data.decades + 1);
    const buffer = document.createElement("canvas");
    buffer.width = buffer.height = size;
    buffer.getContext("2d").putImageData(cast(surface, size, (scale * size) / side, level), 0, 0);
    g.drawImage(buffer, (width - side) / 2, (height - side) / 2, side, side);
    // Names over the surface, with a rim, so that they can be read where it reaches out to them.
    g.font = "600 14px system-ui, sans-serif";
    g.textAlign = "center";
    g.textBaseline = "middle";
    g.strokeStyle = "#ffffff";
    g.lineWidth = 4;
    g.fillStyle = "#5a626d";
    ["qx", "qy", "qz"].forEach((name, k) => {
      const at = screen(ends[k].map((v) => 1.09 * v));
      g.strokeText(name, ...at);
      g.fillText(name, ...at);
    });
    g.lineWidth = 1;
    canvas.dataset.level = slider.value;
  }

  let waiting = false, later = 0;
  function redraw() {
    const percent = 100 * 10 ** Number(slider.value);
    document.getElementById("surface-value").textContent = percent.toPrecision(2) + " %";
    window.clearTimeout(later);
    later = window.setTimeout(() => surfaces.forEach((s) => drawSurface(s, true)), 160);
    if (waiting) return;
    waiting = true;
    window.requestAnimationFrame(() => { waiting = false; surfaces.forEach((s) => drawSurface(s, false)); });
  }
  const { set } = orbit(surfaces.map((surface) => surface.canvas), camera, start, { least: 0.5, most: 6 }, redraw);
  slider.addEventListener("input", redraw);
  document.getElementById("surface-reset").addEventListener("click", () => set(start));
  document.getElementById("surface-side").addEventListener("click", () => set({ turn: 0, tilt: 0 }));
  document.getElementById("surface-top").addEventListener("click", () => set({ turn: 0, tilt: Math.PI / 2 }));

  // Maps: one cursor for all, by its row (q2) and column (Δ).
  const maps = Object.entries(data.maps).map(([name, field]) => {
    const raw = bytes(field.values);
    const map = { ...field, values: new Uint16Array(raw.buffer), canvas: document.getElementById("map-" + name),
      readout: document.getElementById("readout-" + name) };
    const [rows, columns] = map.shape, image = new ImageData(columns, rows);
    for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) {
      const code = map.values[i * columns + j], place = 4 * ((rows - 1 - i) * columns + j);
      const value = map.low + (code - 1) * map.step;
      const rgb = code ? colour((value - map.colours[0]) / (map.colours[1] - map.colours[0] || 1)) : [187, 187, 187];
      rgb.forEach((v, k) => { image.data[place + k] = v; });
      image.data[place + 3] = 255;
    }
    map.picture = document.createElement("canvas");
    map.picture.width = columns;
    map.picture.height = rows;
    map.picture.getContext("2d").putImageData(image, 0, 0);
    return map;
  });
  let cursor = null;

  function drawMap(map) {
    const { canvas } = map, ratio = window.devicePixelRatio || 1, [rows, columns] = map.shape;
    canvas.width = Math.round(canvas.clientWidth * ratio);
    canvas.height = Math.round(canvas.clientHeight * ratio);
    const g = canvas.getContext("2d");
    g.drawImage(map.picture, 0, 0, canvas.width, canvas.height);
    if (!cursor) return;
    const x = ((cursor.column + 0.5) / columns) * canvas.width, y = (1 - (cursor.row + 0.5) / rows) * canvas.height;
    g.strokeStyle = "#fff";
    g.lineWidth = ratio;
    g.beginPath();
    g.moveTo(x, 0); g.lineTo(x, canvas.height);
    g.moveTo(0, y); g.lineTo(canvas.width, y);
    g.stroke();
  }

  function showValue(map) {
    const { row, column } = cursor, code = map.values[row * map.shape[1] + column];
    const q2 = map.q2[row], delta = map.delta[column];
    const value = code ? "C = " + (map.low + (code - 1) * map.step).toPrecision(3) : "not measured";
    // A peak is named within 3° and 2 % of q2: about as wide as peaks are.
    const near = map.peaks.filter((p) => Math.abs(p[1] - delta) < 3 && Math.abs(p[0] - q2) < 0.02 * q2)
      .sort((a, b) => Math.hypot((a[1] - delta) / 3, (a[0] - q2) / (0.02 * q2)) - Math.hypot((b[1] - delta) / 3, (b[0] - q2) / (0.02 * q2)));
    const names = [...new Set(near.map((p) => p[2]))].join(", ");
    map.readout.textContent = "q₂ = " + q2.toFixed(3) + " nm⁻¹, Δ = " + delta.toFixed(1) + "°: " + value +
      (names ? "; expected here: " + names : "; no reflection of fcc or hcp is expected here");
  }

  function point(row, column) {
    const [rows, columns] = maps[0].shape;
    cursor = { row: Math.max(0, Math.min(rows - 1, row)), column: Math.max(0, Math.min(columns - 1, column)) };
    maps.forEach((map) => { drawMap(map); showValue(map); });
  }
  for (const map of maps) {
    const [rows, columns] = map.shape;
    map.canvas.addEventListener("pointermove", (event) => {
      const box = map.canvas.getBoundingClientRect();
      point(Math.floor((1 - (event.clientY - box.top) / box.height) * rows), Math.floor(((event.clientX - box.left) / box.width) * columns));
    });
    map.canvas.addEventListener("keydown", (event) => {
      const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [1, 0], ArrowDown: [-1, 0] };
      const by = moves[event.key], times = event.shiftKey ? 10 : 1;
      if (!by || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      const from = cursor || { row: rows >> 1, column: columns >> 1 };
      point(from.row + times * by[0], from.column + times * by[1]);
    });
  }
  function drawAll() {
    surfaces.forEach((s) => drawSurface(s, true));
    maps.forEach(drawMap);
  }
  window.addEventListener("resize", () => { redraw(); maps.forEach(drawMap); });
  window.addEventListener("beforeprint", drawAll);
  redraw();
  drawAll();
  document.documentElement.dataset.fields = "ready";
})();
