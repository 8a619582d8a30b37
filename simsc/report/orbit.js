"use strict";
// Turns and zooms some canvases together by pointers, wheel and keys: what is in front follows the pointer, or the arrow.
// `camera` has turn (about the vertical axis) and tilt (towards the viewer), in radians, and zoom; `changed` draws anew.
function orbit(canvases, camera, start, zooms, changed) {
  function set(values) {
    Object.assign(camera, values);
    camera.tilt = Math.max(-Math.PI / 2, Math.min(Math.PI / 2, camera.tilt));
    camera.zoom = Math.max(zooms.least, Math.min(zooms.most, camera.zoom));
    changed();
  }
  const turnBy = (right, down) => set({ turn: camera.turn - right, tilt: camera.tilt + down });
  const zoomBy = (factor) => set({ zoom: camera.zoom * factor });
  const keys = {
    ArrowLeft: () => turnBy(-0.1, 0), ArrowRight: () => turnBy(0.1, 0), ArrowUp: () => turnBy(0, -0.1),
    ArrowDown: () => turnBy(0, 0.1), "+": () => zoomBy(1.25), "=": () => zoomBy(1.25), "-": () => zoomBy(0.8),
    "0": () => set(start), Home: () => set(start),
  };

  for (const canvas of canvases) {
    const pointers = new Map();
    canvas.addEventListener("pointerdown", (event) => {
      pointers.set(event.pointerId, [event.clientX, event.clientY]);
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      const last = pointers.get(event.pointerId);
      if (!last) return;
      if (pointers.size === 1) turnBy((event.clientX - last[0]) * 0.01, (event.clientY - last[1]) * 0.01);
      else {
        const other = [...pointers].find(([id]) => id !== event.pointerId)[1];
        const apart = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]) || 1;
        zoomBy(apart([event.clientX, event.clientY]) / apart(last));
      }
      pointers.set(event.pointerId, [event.clientX, event.clientY]);
    });
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) {
      canvas.addEventListener(name, (event) => pointers.delete(event.pointerId));
    }
    canvas.addEventListener("wheel", (event) => {
      // A page can be scrolled past the views; the wheel zooms once a view has the focus.
      if (document.activeElement !== canvas) return;
      event.preventDefault();
      zoomBy(Math.exp(-event.deltaY * 0.0015));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      const act = event.ctrlKey || event.metaKey || event.altKey ? undefined : keys[event.key];
      if (act) { event.preventDefault(); act(); }
    });
  }
  return { set, zoomBy };
}
