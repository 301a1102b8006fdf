"use strict";
(function () {
  var ns = "http://www.w3.org/2000/svg";

  // Every figure: read-out of the nearest point, its series marked, zoom by wheel
  // or dragging, and copying the plotted points.
  document.querySelectorAll("figure").forEach(function (fig) {
    var svg = fig.querySelector("svg.figure");
    var block = fig.querySelector("script.block");
    if (!svg || !block) return;
    var data = JSON.parse(block.textContent);
    var plot = fig.querySelector(".plot");
    var home = [0, 0, data.width, data.height], box = home.slice();
    var tip = document.createElement("div");
    tip.className = "tip";
    tip.hidden = true;
    plot.appendChild(tip);
    var marks = document.createElementNS(ns, "g");
    svg.appendChild(marks);

    function show(next) {
      next[0] = Math.max(0, Math.min(next[0], home[2] - next[2]));
      next[1] = Math.max(0, Math.min(next[1], home[3] - next[3]));
      box = next;
      svg.setAttribute("viewBox", box.join(" "));
    }
    show(home.slice());

    function at(ev) {
      var r = svg.getBoundingClientRect();
      return { x: box[0] + (ev.clientX - r.left) / r.width * box[2], y: box[1] + (ev.clientY - r.top) / r.height * box[3] };
    }
    function clear() {
      tip.hidden = true;
      while (marks.firstChild) marks.removeChild(marks.firstChild);
    }
    function circle(p, r, width) {
      var c = document.createElementNS(ns, "circle");
      c.setAttribute("cx", p.x);
      c.setAttribute("cy", p.y);
      c.setAttribute("r", r);
      c.setAttribute("fill", "none");
      c.setAttribute("stroke", "#000");
      c.setAttribute("stroke-width", width);
      marks.appendChild(c);
    }
    function point(ev) {
      clear();
      var m = at(ev), best = null, dist = 14 * box[2] / home[2];
      data.points.forEach(function (p) {
        var d = Math.hypot(p.x - m.x, p.y - m.y);
        if (d < dist) { dist = d; best = p; }
      });
      if (!best) return;
      var scale = box[2] / home[2];
      data.points.forEach(function (p) {
        if (p.s === best.s && data.points.length < 200) circle(p, 3.2 * scale, 0.35 * scale);
      });
      circle(best, 4.4 * scale, 0.9 * scale);
      tip.textContent = (best.s ? best.s + "\n" : "") + best.t;
      tip.hidden = false;
      var r = plot.getBoundingClientRect();
      var x = ev.clientX - r.left + 14, y = ev.clientY - r.top + 14;
      if (x + tip.offsetWidth > r.width) x = Math.max(0, x - tip.offsetWidth - 28);
      tip.style.left = x + "px";
      tip.style.top = y + "px";
    }
    var drag = null;
    svg.addEventListener("pointermove", function (ev) {
      if (!drag) { point(ev); return; }
      var r = svg.getBoundingClientRect();
      show([drag.box[0] - (ev.clientX - drag.x) / r.width * box[2], drag.box[1] - (ev.clientY - drag.y) / r.height * box[3], box[2], box[3]]);
    });
    svg.addEventListener("pointerleave", clear);
    svg.addEventListener("pointerdown", function (ev) {
      if (box[2] === home[2]) return;
      drag = { x: ev.clientX, y: ev.clientY, box: box.slice() };
      svg.setPointerCapture(ev.pointerId);
      clear();
    });
    svg.addEventListener("pointerup", function () { drag = null; });
    svg.addEventListener("wheel", function (ev) {
      if (!ev.ctrlKey && !ev.shiftKey) return;
      ev.preventDefault();
      var m = at(ev), k = ev.deltaY + ev.deltaX > 0 ? 1.25 : 0.8;
      var w = Math.min(home[2], Math.max(home[2] / 20, box[2] * k));
      k = w / box[2];
      if (w === home[2]) { show(home.slice()); return; }
      show([m.x - (m.x - box[0]) * k, m.y - (m.y - box[1]) * k, w, box[3] * k]);
    }, { passive: false });
    svg.addEventListener("dblclick", function (ev) {
      var m = at(ev);
      if (box[2] < home[2] / 4) { show(home.slice()); return; }
      show([m.x - box[2] / 4, m.y - box[3] / 4, box[2] / 2, box[3] / 2]);
    });
    fig.querySelector(".reset").addEventListener("click", function () { show(home.slice()); });
    fig.querySelector(".copy").addEventListener("click", function (ev) {
      var text = fig.querySelector(".csv").textContent, button = ev.target;
      function done(ok) {
        button.textContent = ok ? "Copied" : "Select it below";
        if (!ok) fig.querySelector("details").open = true;
      }
      if (navigator.clipboard) {
        navigator.clipboard.writeText(text).then(function () { done(true); }, function () { done(false); });
      } else {
        done(false);
      }
    });
  });

  // Tables are sorted by a click on a header: by number where all cells begin
  // with one, otherwise by text.
  document.querySelectorAll("table.sortable").forEach(function (table) {
    table.classList.add("live");
    var heads = table.tHead.rows[0].cells;
    Array.prototype.forEach.call(heads, function (th, col) {
      th.tabIndex = 0;
      function sort() {
        var down = th.classList.contains("up");
        Array.prototype.forEach.call(heads, function (h) { h.classList.remove("up", "down"); });
        th.classList.add(down ? "down" : "up");
        var body = table.tBodies[0], rows = Array.prototype.slice.call(body.rows);
        var unit = { k: 1e3, M: 1e6 };
        function value(row) {
          var text = row.cells[col].textContent.trim(), m = /^(-?\d+(?:\.\d+)?)([kM])?/.exec(text);
          return { text: text, number: m && !/^[0-9a-f]{12,}$/.test(text) ? parseFloat(m[1]) * (unit[m[2]] || 1) : text === "-" ? -Infinity : NaN };
        }
        var keyed = rows.map(function (row, i) { return { row: row, i: i, v: value(row) }; });
        var numeric = keyed.every(function (k) { return !isNaN(k.v.number); });
        keyed.sort(function (a, b) {
          var d = numeric ? a.v.number - b.v.number : a.v.text.localeCompare(b.v.text);
          if (isNaN(d)) d = 0;
          return (down ? -d : d) || a.i - b.i;
        });
        keyed.forEach(function (k) { body.appendChild(k.row); });
      }
      th.addEventListener("click", sort);
      th.addEventListener("keydown", function (ev) { if (ev.key === "Enter") sort(); });
    });
  });
})();
