"""What one request may cost: every limit of the project, with its unit."""

# bytes; the largest video file that is opened (the demuxed packets of one file are also held to this)
MAX_UPLOAD_BYTES = 200 * 2**20
# seconds; the longest video that is read, by its frames' times
MAX_SECONDS = 120
# pixels; the largest picture that is decoded (4K, either way up)
MAX_FRAME_PIXELS = 4096 * 2304
# packets of all streams in one file: 120 s at 240 frames a second with many sound tracks stay well below
MAX_PACKETS = 250_000
# seconds of wall time; to open a file and list its packets without decoding
MAX_SCAN_SECONDS = 20
# seconds of wall time; to read one clip, everything included
MAX_DECODE_SECONDS = 60
# frames sampled from one video
MAX_SEGMENTS = 64
# bytes; the RGB pictures of one read, held in memory at once
MAX_PICTURE_BYTES = 2 * 2**30
# bytes; the largest safetensors file that is read (a ResNet-101 with AIA has 170 MB)
MAX_CHECKPOINT_BYTES = 2**30
# bytes; the largest config.json that is read (ten thousand long labels have 2 MB)
MAX_CONFIG_BYTES = 8 * 2**20
# longer side over shorter side of a picture; a narrower one would become gigantic when its shorter side is resized
MAX_ASPECT = 32
# pixels; the largest side of a network's input
MAX_INPUT_SIZE = 1024
# classes of one network
MAX_LABELS = 10_000
# characters of one label
MAX_LABEL_LENGTH = 200
