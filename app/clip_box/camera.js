// @ts-check
// The camera. Its pictures are drawn on a canvas, mirrored if it faces the visitor, and the canvas is recorded. A recording
// therefore holds what the preview shows, and the network gets the visitor's own view.

// On two slow cores a recording of 640 x 480 pixels lost its end; one of 320 x 240 was complete.
const LONGER_SIDE = 320;
/** @type {MediaTrackConstraints} */
const CONSTRAINTS = { width: { ideal: 320 }, height: { ideal: 240 }, frameRate: { ideal: 30 } };
const RECORDED_TYPES = ["video/webm;codecs=vp8", "video/webm", "video/mp4"]; // the first that the browser can write
const BITS_PER_SECOND = 2_500_000;

class Camera {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {() => void} onLost Called when the camera ends by itself: it was unplugged or forbidden.
   */
  constructor(canvas, onLost) {
    this.canvas = canvas;
    this.onLost = onLost;
    /** @type {() => void} */
    this.onDraw = () => {}; // called when the canvas shows a new picture
    this.turn = 0; // grows with every start and stop: a permission that comes late is recognized
    this.facing = "user";
    /** @type {MediaStream | null} */
    this.stream = null;
    /** @type {MediaRecorder | null} */
    this.recorder = null;
    /** @type {HTMLVideoElement | null} */
    this.video = null;
  }

  /** Why no camera can be used: the name of a sentence, or "". */
  static obstacle() {
    if (!navigator.mediaDevices?.getUserMedia) return window.isSecureContext ? "unsupported" : "insecure";
    return "";
  }

  /** Why no camera can be recorded. */
  static recordingObstacle() {
    const canRecord = "MediaRecorder" in window && "captureStream" in HTMLCanvasElement.prototype;
    return Camera.obstacle() || (canRecord ? "" : "unsupported");
  }

  /** The camera to begin with: on a phone the rear one, which sees hands as the gesture models do. */
  static preferred() {
    return matchMedia("(pointer: coarse)").matches ? "environment" : "user";
  }

  /**
   * The name of the sentence for an error of `start`.
   *
   * @param {{ name: string }} error
   */
  static problem({ name }) {
    if (["NotAllowedError", "SecurityError"].includes(name)) return "refused";
    return ["NotFoundError", "OverconstrainedError"].includes(name) ? "missing" : "in_use";
  }

  /**
   * Starts a camera that faces the visitor ("user") or not ("environment"), if there is one. Returns false if it was stopped
   * before the visitor allowed it.
   *
   * @param {string} facing
   */
  async start(facing) {
    this.stop();
    const turn = this.turn;
    const stream = await navigator.mediaDevices.getUserMedia({ video: { ...CONSTRAINTS, facingMode: { ideal: facing } }, audio: false });
    const video = Object.assign(document.createElement("video"), { srcObject: stream, muted: true, playsInline: true });
    video.className = "source";
    if (turn !== this.turn) return this.end(stream, video);
    [this.stream, this.video] = [stream, video];
    const [track] = stream.getVideoTracks();
    track.addEventListener("ended", () => turn === this.turn && this.onLost());
    this.facing = track.getSettings().facingMode ?? facing; // few desktop cameras report it
    this.canvas.after(video); // Safari plays only what is in the page
    await video.play();
    if (turn !== this.turn) return false;
    this.draw();
    return true;
  }

  get mirrored() {
    return this.facing !== "environment";
  }

  draw() {
    const { canvas, video } = this;
    if (!video) return;
    const scale = Math.min(1, LONGER_SIDE / Math.max(video.videoWidth, video.videoHeight)); // some cameras ignore the constraints
    const [width, height] = [video.videoWidth, video.videoHeight].map((side) => Math.round(side * scale));
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { alpha: false }));
    context.setTransform(this.mirrored ? -1 : 1, 0, 0, 1, this.mirrored ? width : 0, 0);
    context.drawImage(video, 0, 0, width, height);
    this.onDraw();
    const again = () => this.draw();
    if ("requestVideoFrameCallback" in video) video.requestVideoFrameCallback(again);
    else requestAnimationFrame(again);
  }

  /**
   * Records the canvas until `finish` is called, at most for some seconds.
   *
   * @param {number} seconds
   * @returns {Promise<File | null>} null if the camera is stopped before.
   */
  record(seconds) {
    const mimeType = RECORDED_TYPES.find((type) => MediaRecorder.isTypeSupported(type));
    const recorder = new MediaRecorder(this.canvas.captureStream(), { mimeType, videoBitsPerSecond: BITS_PER_SECOND });
    /** @type {Blob[]} */
    const parts = [];
    const { turn } = this;
    this.recorder = recorder;
    return new Promise((resolve) => {
      recorder.addEventListener("dataavailable", ({ data }) => parts.push(data));
      recorder.addEventListener("stop", () => {
        const type = recorder.mimeType.split(";")[0];
        resolve(turn === this.turn ? new File(parts, `camera.${type.split("/")[1]}`, { type }) : null);
      });
      recorder.start();
      setTimeout(() => recorder.state === "recording" && recorder.stop(), 1000 * seconds);
    });
  }

  finish() {
    if (this.recorder?.state === "recording") this.recorder.stop();
  }

  stop() {
    this.turn++;
    this.finish();
    if (this.stream && this.video) this.end(this.stream, this.video);
    this.stream = this.recorder = this.video = null;
  }

  /**
   * @param {MediaStream} stream
   * @param {HTMLVideoElement} video
   */
  end(stream, video) {
    for (const track of stream.getTracks()) track.stop();
    video.srcObject = null;
    video.remove();
    return false;
  }
}
