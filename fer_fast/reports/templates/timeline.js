"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const at = document.getElementById("at");
  const first = Number(at.min), last = Number(at.max);

  const made = (kind, parent, name = "") => {
    const element = document.createElement(kind);
    element.className = name;
    parent.append(element);
    return element;
  };

  const clock = (time) => {
    const tenths = Math.round(time / 100), seconds = Math.floor(tenths / 10);
    const two = (number) => String(number).padStart(2, "0");
    const hours = Math.floor(seconds / 3600), minutes = Math.floor(seconds / 60) % 60;
    const said = hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
    return `${said}.${tenths % 10}`;
  };

  // The place of the value that is nearest to a time, in rising values.
  const nearest = (times, time) => {
    let low = 0, high = times.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (times[middle] < time) low = middle + 1; else high = middle;
    }
    return low > 0 && time - times[low - 1] <= times[low] - time ? low - 1 : low;
  };

  const card = (track) => {
    const item = made("li", document.getElementById("faces"));
    const picture = track.faces.length ? made("img", item) : null;
    const said = made("div", item, "said");
    const head = made("b", said), when = made("div", said);
    const rows = data.classes.map(([name, colour]) => {
      const row = made("div", said, "share");
      made("span", row).textContent = name;
      const bar = made("i", made("span", row, "bar"));
      bar.style.background = colour;
      return { bar, number: made("b", row) };
    });
    return { item, picture, head, when, rows, unsure: new Set(track.unsure), times: track.faces.map(([time]) => time) };
  };
  const cards = data.tracks.map(card);
  const cursors = document.querySelectorAll(".cursor");

  const showTrack = (track, shown, time) => {
    const place = nearest(track.times, time), count = data.classes.length;
    const there = Math.abs(track.times[place] - time) <= data.reach;
    shown.item.hidden = !there;
    if (!there) return "";
    const shares = track.shares.slice(place * count, (place + 1) * count);
    const best = shares.indexOf(Math.max(...shares));
    const label = shown.unsure.has(place) ? "unsure" : data.classes[best][0];
    const said = `#${track.number} ${label} ${Math.round(shares[best] / 10)} %`;
    shown.head.textContent = said;
    shares.forEach((share, each) => {
      shown.rows[each].bar.style.width = `${share / 10}%`;
      shown.rows[each].number.textContent = `${Math.round(share / 10)} %`;
    });
    if (shown.picture) {
      const face = track.faces[nearest(shown.times, time)];
      if (shown.picture.src !== face[1]) shown.picture.src = face[1];
      shown.picture.alt = `the face of track ${track.number} at ${clock(face[0])}`;
      shown.when.textContent = `face at ${clock(face[0])}`;
    }
    return said;
  };

  const show = () => {
    const time = Number(at.value);
    const said = data.tracks.map((track, each) => showTrack(track, cards[each], time)).filter(Boolean);
    document.getElementById("time").textContent = clock(time);
    at.setAttribute("aria-valuetext", [clock(time), ...said].join(", "));
    cursors.forEach((cursor) => { cursor.style.left = `${(100 * (time - first)) / (last - first)}%`; });
  };

  document.querySelectorAll(".chart").forEach((chart) => {
    chart.addEventListener("click", (event) => {
      const box = chart.getBoundingClientRect();
      at.value = first + ((event.clientX - box.left) / box.width) * (last - first);
      at.focus({ preventScroll: true });
      show();
    });
  });
  at.addEventListener("input", show);
  show();
})();
