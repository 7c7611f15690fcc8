# The page in a container; docs/docker.md says how to run it. tests/project/test_docker.py runs the steps that need no network.
FROM python:3.12-slim

# PyTorch for CPUs. For a GPU: --build-arg TORCH_BACKEND=cu128
ARG TORCH_BACKEND=cpu

# The compiler makes the compiled passes of the gates for the processor that the container runs on.
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /studio
COPY requirements.txt ./
RUN pip install --no-cache-dir uv \
 && uv pip install --system --no-cache --torch-backend "$TORCH_BACKEND" -r requirements.txt

COPY app.py LICENSE ./
COPY aia aia
COPY app app
COPY assets assets
COPY checkpoints checkpoints
RUN python -m compileall -q aia app

# Everything that the page keeps is in /cache and /tmp; the rest may be read-only.
RUN mkdir /cache && chown 1000:1000 /cache
VOLUME /cache
ENV GRADIO_SERVER_NAME=0.0.0.0 \
    GRADIO_SERVER_PORT=7860 \
    HF_HOME=/cache/huggingface \
    MPLCONFIGDIR=/cache/matplotlib \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    XDG_CACHE_HOME=/cache
USER 1000:1000
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=10s --start-period=2m \
  CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['GRADIO_SERVER_PORT'], timeout=8)"]
ENTRYPOINT ["python", "app.py"]
