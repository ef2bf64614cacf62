// Calls of the service: the credential, the problem documents, nothing of the page.

/** What went wrong, as a problem document (RFC 9457) or in its shape. */
export class Problem extends Error {
  constructor(document, { status = 0, requestId = "", retryAfter = null } = {}) {
    super(document.title ?? "Something went wrong");
    this.title = this.message;
    this.detail = document.detail ?? "";
    this.code = document.code ?? "";
    this.status = document.status ?? status;
    this.requestId = document.request_id ?? requestId;
    this.retryAfter = document.retry_after ?? retryAfter;
    this.errors = Array.isArray(document.errors) ? document.errors : [];
  }

  /** The problem that a failed fetch is, and a programming error made visible. */
  static from(error) {
    if (error instanceof Problem) return error;
    if (!(error instanceof TypeError)) console.error(error);
    return new Problem({
      title: "The service cannot be reached",
      detail: "Either it is not running or the network is down. Nothing you wrote is lost.",
      code: "unreachable",
    });
  }
}

async function problemOf(response) {
  let document = {};
  try {
    document = await response.json();
  } catch {
    // something between us and the service answered: a proxy's page says nothing useful
  }
  const seconds = Number(response.headers.get("Retry-After") ?? NaN);
  return new Problem(
    { title: `The service answered ${response.status}`, ...document },
    {
      status: response.status,
      requestId: response.headers.get("X-Request-Id") ?? "",
      retryAfter: Number.isFinite(seconds) ? seconds : null,
    },
  );
}

/** A form with one file. By XMLHttpRequest, since `fetch` does not tell how much it has sent. */
function sendForm(path, file, credential, progress, signal) {
  const form = new FormData();
  form.append("purpose", "user_data");
  form.append("file", file, file.name || "file");
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    request.responseType = "blob";
    if (credential) request.setRequestHeader("Authorization", `Bearer ${credential}`);
    request.upload.addEventListener("progress", ({ loaded, total }) => progress(total ? loaded / total : 0));
    request.addEventListener("load", () => {
      const names = ["Retry-After", "X-Request-Id"];
      const headers = names.map((name) => [name, request.getResponseHeader(name)]).filter(([, value]) => value);
      resolve(new Response(request.response, { status: request.status, headers }));
    });
    request.addEventListener("error", () => reject(new TypeError("the file could not be sent")));
    request.addEventListener("abort", () => reject(signal.reason));
    signal.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}

export class Api {
  #credential;
  #ask;

  /** `ask(refused)` resolves with another credential, or null if there is none to be had. */
  constructor(credential, ask) {
    this.#credential = credential;
    this.#ask = ask;
  }

  set credential(value) {
    this.#credential = value;
  }

  /** The response if it is a good one; throws a `Problem`, or what `fetch` throws. */
  request(method, path, { body, headers = {}, signal } = {}) {
    return this.#good((credential) =>
      fetch(path, {
        method,
        signal,
        cache: "no-store",
        credentials: "omit",
        headers: {
          ...headers,
          ...(credential && { Authorization: `Bearer ${credential}` }),
          ...(body && { "Content-Type": "application/json" }),
        },
        body: body && JSON.stringify(body),
      }),
    );
  }

  /** What `send(credential)` is answered if that is good; a credential that is refused is asked for anew. */
  async #good(send) {
    for (;;) {
      const used = this.#credential;
      const response = await send(used);
      if (response.ok) return response;
      const problem = await problemOf(response);
      if (response.status !== 401) throw problem;
      if (this.#credential !== used) continue; // another call has asked meanwhile
      const given = await this.#ask(Boolean(used));
      if (given === null) throw problem;
      this.#credential = given;
    }
  }

  async sessions(cursor) {
    const page = cursor ? `&cursor=${encodeURIComponent(cursor)}` : "";
    return (await this.request("GET", `v1/sessions?limit=30${page}`)).json();
  }

  async session(id, cursor, signal) {
    const page = cursor ? `&cursor=${encodeURIComponent(cursor)}` : "";
    return (await this.request("GET", `v1/sessions/${id}?limit=100${page}`, { signal })).json();
  }

  async rename(id, title) {
    return (await this.request("PATCH", `v1/sessions/${id}`, { body: { title } })).json();
  }

  /** Send a file; resolves with what is kept of it. `progress(part)` is told how much has gone, 0 to 1. */
  async upload(file, { progress, signal }) {
    const response = await this.#good((credential) => sendForm("v1/files", file, credential, progress, signal));
    return response.json();
  }

  async file(id, signal) {
    return (await this.request("GET", `v1/files/${id}/content`, { signal })).blob();
  }

  async removeFile(id) {
    await this.request("DELETE", `v1/files/${id}`);
  }

  async remove(id) {
    await this.request("DELETE", `v1/sessions/${id}`);
  }

  /** Send a message; a repeat under the same key is the same run, never a second call of the agent. */
  send(body, key, signal) {
    return this.request("POST", "v1/chat/stream", { body, signal, headers: { "Idempotency-Key": key } });
  }

  /** The run's events behind `after`, as a stream. */
  events(runId, after, signal) {
    const headers = { "Last-Event-ID": String(after) };
    return this.request("GET", `v1/runs/${encodeURIComponent(runId)}/events`, { headers, signal });
  }

  async cancel(runId) {
    await this.request("POST", `v1/runs/${encodeURIComponent(runId)}/cancel`);
  }
}
