// @ts-check
// Gradio reloads the page when it loses a request, and the visitor's clip is gone. Here a lost request becomes an error that
// the server reports: a sentence is shown and the page stays as it is.

const ANSWER_WITHIN = 60_000; // ms: the server answers at once that a request waits in its queue

/**
 * Takes the place of the browser's `fetch` for requests to the queue and for the stream of their results.
 *
 * @param {string} sentence What a visitor reads.
 */
function reportLostRequests(sentence) {
  const send = window.fetch.bind(window);
  window.fetch = (input, options) => {
    const { pathname } = new URL(input instanceof Request ? input.url : input, document.baseURI);
    if (pathname.endsWith("/queue/join")) return joined(() => send(input, { ...options, signal: AbortSignal.timeout(ANSWER_WITHIN) }), sentence);
    if (pathname.endsWith("/queue/data") && input instanceof Request) return Promise.resolve(streamed(send, input, sentence));
    return send(input, options);
  };
}

/**
 * @param {() => Promise<Response>} request
 * @param {string} sentence
 */
async function joined(request, sentence) {
  try {
    const response = await request();
    const answer = await response.json();
    if (response.ok || answer.detail) return Response.json(answer, { status: response.status });
  } catch {
    // no connection, no answer in time, or the page of a proxy
  }
  return Response.json({ detail: sentence }, { status: 500 });
}

/**
 * A stream of results that ends with an error for all that it still owes if the connection is lost.
 *
 * @param {typeof fetch} send
 * @param {Request} request
 * @param {string} sentence
 */
function streamed(send, request, sentence) {
  const output = { error: sentence, visible: true };
  const lost = [{ msg: "process_completed", success: false, output }, { msg: "close_stream" }]; // of all requests: without an id
  const body = new ReadableStream({
    async start(controller) {
      let isComplete = false;
      try {
        const reader = (await send(request)).body?.pipeThrough(new TextDecoderStream()).getReader();
        for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
          isComplete ||= part.value.includes('"close_stream"');
          controller.enqueue(part.value);
        }
      } catch {
        // the rest is lost
      }
      if (!isComplete && !request.signal.aborted)
        for (const message of lost) controller.enqueue(`data: ${JSON.stringify(message)}\n\n`);
      controller.close();
    },
  });
  return new Response(body.pipeThrough(new TextEncoderStream()), { headers: { "content-type": "text/event-stream" } });
}
