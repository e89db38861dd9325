# mandseg with the pinned packages.
#   docker build -t mandseg .                                     with a GPU
#   docker build -t mandseg --build-arg TORCH=cpu .               without: a much smaller image
#   docker run --rm -it --gpus all --shm-size 2g -u $(id -u):$(id -g) -v $PWD:/work mandseg python -m mandseg.train noise_ratio=0.2
FROM python:3.11-slim
ARG TORCH=
WORKDIR /opt/mandseg
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN if [ -n "$TORCH" ]; then \
    pip install --no-cache-dir -c constraints.txt torch --extra-index-url "https://download.pytorch.org/whl/$TORCH"; fi
COPY src src
COPY conf conf
COPY sweeps sweeps
RUN pip install --no-cache-dir -c constraints.txt '.[slurm]'
# docker run -u gives a user without a home folder: libraries write their caches to /tmp
ENV MANDSEG_CACHE=/work/cache HOME=/tmp PYTHONUNBUFFERED=1
WORKDIR /work
CMD ["mandseg", "--help"]
