// A small plot over time.
import { html, useState } from "../vendor/preact.js";
import { clock } from "./parts.js";

const WIDTH = 300, HEIGHT = 72, PAD = 4;
const GAP = 3; // seconds

const nice = (value) => {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 5, 10].map((one) => one * power).find((one) => one >= value) ?? value;
};

/** `points`: [{at, value}], null where there is nothing; `unit` stands behind the numbers. */
export function Plot({ title, points, unit, least = 1, kind = "" }) {
  const [chosen, setChosen] = useState(null);
  const values = points.map((one) => one.value).filter((one) => one !== null);
  const last = values.at(-1);
  const top = nice(Math.max(least, ...values));
  const from = points[0]?.at ?? 0, to = Math.max(points.at(-1)?.at ?? 1, from + 60);
  const x = (at) => PAD + (at - from) / (to - from) * (WIDTH - 2 * PAD);
  const y = (value) => HEIGHT - PAD - value / top * (HEIGHT - 2 * PAD);
  const drawn = points.filter((one) => one.value !== null);
  const isApart = (index) => index === 0 || drawn[index].at - drawn[index - 1].at > GAP;
  // The short piece behind a move makes a dot of what stands alone.
  const line = drawn.map((one, index) => `${isApart(index) ? "M" : "L"}${x(one.at).toFixed(1)},${y(one.value).toFixed(1)}${isApart(index) ? "h0.01" : ""}`).join("");
  const isWhole = drawn.length > 1 && drawn.every((_, index) => index === 0 || !isApart(index));
  const area = isWhole ? `${line}L${x(drawn.at(-1).at).toFixed(1)},${HEIGHT - PAD}L${x(drawn[0].at).toFixed(1)},${HEIGHT - PAD}Z` : "";
  const point = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    const at = from + (event.clientX - box.left) / box.width * (to - from);
    setChosen(drawn.reduce((best, one) => !best || Math.abs(one.at - at) < Math.abs(best.at - at) ? one : best, null));
  };
  const number = (value) => `${value >= 100 ? Math.round(value) : Math.round(value * 10) / 10} ${unit}`;
  const text = last === undefined ? "nothing yet" : number(chosen?.value ?? last);
  return html`<figure class="plot ${kind}">
    <figcaption><span class="plot-title">${title}</span><span class="plot-value">${text}</span>
      ${chosen && html`<span class="plot-at">at ${clock(chosen.at)}</span>`}</figcaption>
    <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label=${`${title}: ${text}; at most ${number(Math.max(0, ...values))} in the last minutes`}
        onPointerMove=${point} onPointerLeave=${() => setChosen(null)}>
      <path class="plot-grid" d="M0,${y(top / 2)}H${WIDTH}M0,${HEIGHT - PAD}H${WIDTH}" />
      <path class="plot-area" d=${area} /><path class="plot-line" d=${line} />
      ${chosen && html`<path class="plot-mark" d="M${x(chosen.at)},0V${HEIGHT}" />`}
    </svg>
    <span class="plot-top" aria-hidden="true">${top} ${unit}</span>
  </figure>`;
}
