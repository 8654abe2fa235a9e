// Questions to the server. It keeps nothing: every question holds its whole task.

const PATIENCE = 6; // times that a busy server is asked again

export class Failure extends Error {}

/** The answer to a question; a Failure says what was wrong, in words. */
export async function ask(path, body = undefined, signal = undefined) {
  for (let again = 0; ; again++) {
    const response = await send(path, body, signal);
    if (response.status === 503 && again < PATIENCE) {
      await new Promise((done) => setTimeout(done, 150 * 2 ** again * (0.5 + Math.random())));
      continue;
    }
    let answer = {};
    try {
      answer = await response.json();
    } catch {
      throw new Failure(`The server answered ${response.status} without a reason. Reload the page.`);
    }
    if (!response.ok) throw new Failure(sentence(answer.message ?? `The server answered ${response.status}.`));
    return answer;
  }
}

async function send(path, body, signal) {
  const raw = body instanceof Blob;
  const init = body === undefined ? {} : {
    method: "POST",
    headers: { "content-type": raw ? "application/octet-stream" : "application/json" },
    body: raw ? body : JSON.stringify(body),
  };
  try {
    return await fetch(path, { ...init, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure("The server does not answer. Is kshot serve still running? Then try again.");
  }
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}

/**
 * Runs one job at a time; of those that come meanwhile, only the last. So a page that asks with every stroke never has
 * more than one question on the way.
 */
export class Latest {
  #job = null;
  #busy = false;

  async run(job) {
    this.#job = job;
    if (this.#busy) return;
    this.#busy = true;
    try {
      while (this.#job) {
        const next = this.#job;
        this.#job = null;
        await next();
      }
    } finally {
      this.#busy = false;
    }
  }

  get busy() {
    return this.#busy;
  }
}
