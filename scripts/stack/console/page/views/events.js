// Publishing, and what becomes of what was published.
import { html } from "../vendor/preact.js";
import { Publish } from "../events/publish.js";
import { Ways } from "../events/ways.js";

export function Events() {
  return html`<div class="split events"><${Publish} /><${Ways} /></div>`;
}
