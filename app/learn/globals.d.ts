// What this script is given: by Gradio's HTML component, and the color maps by `app/learn/__init__.py`.
declare const element: HTMLElement;
declare const props: { value: string };
declare const watch: (name: string, call: () => void) => void;
declare const trigger: (event: string, data: object) => void;
declare const COLOR_MAPS: Record<string, string>;
