// Calls to the console's own server. This run's key is in the address that scripts/run prints, behind `#`, which browsers send
// to nobody; it is kept for this tab.
const STORED = "console-key";

function takeKey() {
  const found = new URLSearchParams(location.hash.slice(1)).get("key");
  if (found === null) return false;
  sessionStorage.setItem(STORED, found);
  history.replaceState(null, "", `${location.pathname}#/chat`);
  return true;
}

takeKey();
// Another address put into the same tab, as after a new start of the stack.
addEventListener("hashchange", () => takeKey() && location.reload());

export const key = sessionStorage.getItem(STORED) ?? "";

export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    Object.assign(this, { name: "ApiError", status });
  }
}

export async function request(path, options = {}) {
  try {
    return await fetch(path, { ...options, headers: { ...options.headers, "X-Console-Key": key } });
  } catch {
    throw new ApiError("The console does not answer. See that scripts/run still runs.");
  }
}

async function json(response) {
  const content = await response.json().catch(() => ({}));
  if (!response.ok) throw new ApiError(content.error ?? response.statusText, response.status);
  return content;
}

/** `api.get("room", {jid})`: what the call answers; ApiError with the reason when it is refused. */
export const api = {
  async get(name, query = {}) {
    return json(await request(`/api/${name}?${new URLSearchParams(query)}`));
  },
  async post(name, body = {}) {
    return json(await request(`/api/${name}`, { method: "POST", body: JSON.stringify(body) }));
  },
};
