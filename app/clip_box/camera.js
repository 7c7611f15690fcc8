// The camera. Its pictures are drawn on a canvas, mirrored where it faces the visitor, and the canvas is what is recorded:
// so a recording holds what the preview shows, and the network gets the visitor's own view.

// No larger: two slow cores kept all of a recording of 320 x 240, and of one of 640 x 480 only its beginning.
const LONGER_SIDE = 320;
const ASKED = { width: { ideal: 320 }, height: { ideal: 240 }, frameRate: { ideal: 30 } };
const RECORDED = ["video/webm;codecs=vp8", "video/webm", "video/mp4"]; // the first that the browser can write
const BITS_PER_SECOND = 2_500_000;

class Camera {
  /** `lost` is called when the camera ends by itself: unplugged, or forbidden meanwhile. */
  constructor(canvas, lost) {
    this.canvas = canvas;
    this.lost = lost;
    this.turn = 0; // of starts and stops: who waited for a permission sees whether it is still wanted
    this.stream = this.recorder = this.video = null;
  }

  /** What keeps the camera from being used: the name of a sentence, or "". */
  static lacking() {
    if (!navigator.mediaDevices?.getUserMedia) return window.isSecureContext ? "unsupported" : "insecure";
    return window.MediaRecorder && HTMLCanvasElement.prototype.captureStream ? "" : "unsupported";
  }

  /** The name of the sentence for an error of `start`. */
  static problem({ name }) {
    if (["NotAllowedError", "SecurityError"].includes(name)) return "refused";
    return ["NotFoundError", "OverconstrainedError"].includes(name) ? "missing" : "in_use";
  }

  /** Starts a camera that faces the visitor ("user") or not ("environment"), if there is one; false if it was stopped meanwhile. */
  async start(facing) {
    this.stop();
    const turn = this.turn;
    const stream = await navigator.mediaDevices.getUserMedia({ video: { ...ASKED, facingMode: { ideal: facing } }, audio: false });
    const video = Object.assign(document.createElement("video"), { srcObject: stream, muted: true, playsInline: true });
    video.className = "source";
    if (turn !== this.turn) return this.end(stream, video);
    [this.stream, this.video] = [stream, video];
    const [track] = stream.getVideoTracks();
    track.addEventListener("ended", () => turn === this.turn && this.lost());
    this.facing = track.getSettings().facingMode ?? facing; // few desktops' cameras say it
    this.canvas.after(video); // outside of the page Safari would not play it
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
    const scale = Math.min(1, LONGER_SIDE / Math.max(video.videoWidth, video.videoHeight)); // some cameras give what they like
    const [width, height] = [video.videoWidth, video.videoHeight].map((side) => Math.round(side * scale));
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d", { alpha: false });
    context.setTransform(this.mirrored ? -1 : 1, 0, 0, 1, this.mirrored ? width : 0, 0);
    context.drawImage(video, 0, 0, width, height);
    const again = () => this.draw();
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(again);
    else requestAnimationFrame(again);
  }

  /** What the canvas shows for so long, or until `finish` is called, as a file; null if the camera is stopped before. */
  record(seconds) {
    const mimeType = RECORDED.find((type) => MediaRecorder.isTypeSupported(type));
    const recorder = new MediaRecorder(this.canvas.captureStream(), { mimeType, videoBitsPerSecond: BITS_PER_SECOND });
    const [parts, turn] = [[], this.turn];
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
    if (this.stream) this.end(this.stream, this.video);
    this.stream = this.recorder = this.video = null;
  }

  end(stream, video) {
    for (const track of stream.getTracks()) track.stop();
    video.srcObject = null;
    video.remove();
    return false;
  }
}
