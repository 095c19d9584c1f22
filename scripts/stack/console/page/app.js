// The page: header, views, and which one is shown.
import { html, render, useEffect, useState } from "./vendor/preact.js";
import { key } from "./api.js";
import { seats } from "./chat/seats.js";
import { stack } from "./stack.js";
import { useStore } from "./store.js";
import { Failure, Loading } from "./ui/parts.js";
import { ThemeButton } from "./ui/theme.js";
import { Chat } from "./views/chat.js";
import { Events } from "./views/events.js";
import { Logs } from "./views/logs.js";
import { Queues } from "./views/queues.js";
import { Rooms } from "./views/rooms.js";
import { System } from "./views/system.js";

const VIEWS = { chat: ["Chat", Chat], events: ["Events", Events], rooms: ["Rooms", Rooms], queues: ["Queues", Queues],
  system: ["System", System], logs: ["Logs", Logs] };

function useRoute() {
  const parse = () => {
    const [, name, argument] = location.hash.split("/");
    return { name: name in VIEWS ? name : "chat", argument: argument === undefined ? "" : decodeURIComponent(argument) };
  };
  const [route, setRoute] = useState(parse);
  useEffect(() => {
    const follow = () => setRoute(parse());
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  return route;
}

function Health() {
  const { state, troubled, error } = useStore(stack);
  if (error || !state) return html`<span role="status"><span class="health bad">${error ? "no answer" : "…"}</span></span>`;
  const text = troubled.length > 0 ? `${troubled.map((one) => one.name).join(", ")} down or stuck` : "all is up";
  return html`<span role="status"><a class="health ${troubled.length ? "bad" : "good"}" href="#/system">${text}</a></span>`;
}

function Navigation({ current }) {
  const { dead } = useStore(stack);
  return html`<nav aria-label="Views"><ul>${Object.entries(VIEWS).map(([name, [title]]) => html`<li key=${name}>
    <a href=${`#/${name}`} aria-current=${name === current ? "page" : undefined}>${title}
      ${name === "queues" && dead > 0 && html`<span class="count bad" title="dead letters">${dead}<span class="hidden"> dead letters</span></span>`}</a></li>`)}</ul></nav>`;
}

function Body({ route }) {
  const { state, error } = useStore(stack);
  if (!key || error?.status === 401) {
    return html`<${Failure}>This console needs the key of the running stack. Open the address that scripts/run prints, or CONSOLE_URL in target/local/stack.env.<//>`;
  }
  const [, View] = VIEWS[route.name];
  if (!state) return error ? html`<${Failure}>${error.message}<//>` : html`<${Loading}>Looking at the stack …<//>`;
  return html`${error && html`<${Failure}>${error.message}<//>`}<${View} argument=${route.argument} />`;
}

function App() {
  const route = useRoute();
  const { state } = useStore(stack);
  if (state) seats.begin(state.domain);
  return html`<a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); document.getElementById("main").focus(); }}>Skip to the content</a>
    <header class="top"><span class="brand"><img src="icon.svg" alt="" width="24" height="24" />sippo-xmpp <small>console</small></span>
      <${Navigation} current=${route.name} /><div class="top-end"><${Health} /><${ThemeButton} /></div></header>
    <main id="main" tabindex="-1" class="view-${route.name}"><h1 class="hidden">${VIEWS[route.name][0]}</h1><${Body} route=${route} /></main>`;
}

const root = document.getElementById("app");
root.replaceChildren();
render(html`<${App} />`, root);
if (key) stack.follow();
