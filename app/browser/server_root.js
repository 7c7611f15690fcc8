// @ts-check

/**
 * The server's address as the browser reaches it. Behind a proxy the server's own idea of scheme and port may be wrong.
 *
 * @returns {string} Without a slash at its end.
 */
function serverRoot() {
  const root = new URL(window.gradio_config?.root || "/", location.href);
  return (root.hostname === location.hostname ? location.origin : root.origin) + root.pathname.replace(/\/$/, "");
}
