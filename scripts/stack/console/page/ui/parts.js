// Small parts that all views use.
import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { userName, shown } from "../xmpp/xml.js";

export const clock = (seconds, digits = 0) => {
  const at = seconds instanceof Date ? seconds : new Date(seconds * 1000);
  return at.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: digits || undefined });
};

export const span = (seconds) => seconds < 1 ? `${Math.round(seconds * 1000)} ms` : seconds < 100 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds / 60)} min`;

export function Button({ kind = "", children, ...rest }) {
  return html`<button type="button" class="button ${kind}" ...${rest}>${children}</button>`;
}

export const Pill = ({ kind = "", children, ...rest }) => html`<span class="pill ${kind}" ...${rest}>${children}</span>`;

export const Loading = ({ children }) => html`<p class="loading" role="status"><span class="spinner" aria-hidden="true"></span>${children}</p>`;

export const Empty = ({ title, children }) => html`<div class="empty"><p class="empty-title">${title}</p>${children && html`<p>${children}</p>`}</div>`;

export const Failure = ({ children }) => html`<p class="failure" role="alert">${children}</p>`;

/** What is loaded, or what to say meanwhile. */
export function Loaded({ result, what, children }) {
  if (result.value === undefined) return result.error ? html`<${Failure}>${result.error}<//>` : html`<${Loading}>Loading ${what} …<//>`;
  return html`${result.error && html`<${Failure}>${result.error}<//>`}${children(result.value)}`;
}

/** The same user has the same colour everywhere. */
export function Avatar({ jid }) {
  const hue = [...jid].reduce((sum, sign) => (sum * 31 + sign.codePointAt(0)) % 12, 7);
  return html`<span class="avatar hue-${hue}" aria-hidden="true">${(userName(jid)[0] ?? "?").toUpperCase()}</span>`;
}

export const Jid = ({ jid }) => html`<span class="jid" title=${jid}>${shown(jid)}</span>`;

/** A button whose work takes a moment, and may fail: it says so beside itself. */
export function Action({ work, children, ...rest }) {
  const [state, setState] = useState({});
  const run = async () => {
    setState({ isBusy: true });
    try {
      await work();
      setState({});
    } catch (error) {
      setState({ error: error.message });
    }
  };
  return html`<${Button} ...${rest} disabled=${rest.disabled || state.isBusy} onClick=${run}>${children}<//>
    ${state.error && html`<${Failure}>${state.error}<//>`}`;
}

/** Keeps the end of a growing list in sight, unless one has scrolled up. */
export function useTail(length) {
  const ref = useRef(null);
  const isAtEnd = useRef(true);
  useEffect(() => {
    const box = ref.current;
    if (box && isAtEnd.current) box.scrollTop = box.scrollHeight;
  }, [length]);
  // By the event: the list may have gone from the page when the browser tells of it.
  const onScroll = ({ currentTarget: box }) => {
    isAtEnd.current = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
  };
  return { ref, onScroll };
}

/** Opens the log with what names this. */
export const LogLink = ({ name, children }) => html`<a class="log-link" href=${`#/logs/${encodeURIComponent(name)}`}>${children ?? "Log"}</a>`;
