# rtface on a rig with an NVIDIA GPU; it runs on the CPU as well.
#   docker build -t rtface .
#   docker run --rm --network host -v "$PWD:/rig" rtface run /rig/rig.yaml
# With pictures and DeepLabCut's h5: EXTRAS is [lab]. With what runs networks on the GPU: [train] (torch), [tensorrt] or
# [rtx] (docs/gpu.md); [lab,train] for both; [rtx,pycuda] with the -devel image, whose compiler pycuda needs:
#   docker build -t rtface --build-arg EXTRAS='[tensorrt]' .
# For a GPU add --gpus all; for a USB camera --device /dev/video0, or mount the vendor's GenTL producer and set
# GENICAM_GENTL64_PATH.
ARG VARIANT=runtime
FROM nvidia/cuda:12.8.1-${VARIANT}-ubuntu24.04
ARG VARIANT
ARG EXTRAS=

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --no-install-recommends -y python3 python3-venv \
    && if [ "$VARIANT" = devel ]; then apt-get install --no-install-recommends -y python3-dev; fi \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1100 --groups video experimenter \
    && python3 -m venv /opt/rtface

COPY . /src
RUN /opt/rtface/bin/pip install --no-cache-dir "/src${EXTRAS}" && rm -rf /src

USER 1100
WORKDIR /home/experimenter
ENV PATH=/opt/rtface/bin:$PATH PYTHONUNBUFFERED=1
ENTRYPOINT ["rtface"]
CMD ["demo"]
