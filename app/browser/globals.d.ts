// What Gradio defines, for the type checks of `// @ts-check`.
interface Window {
  gradio_config?: { root?: string };
}
