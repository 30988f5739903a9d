# The packages that service and sandbox share, made on the host (the base has no pip). Built once for a lock file.
ARG BASE
FROM ${BASE}
ENV PYTHONPATH=/app/site:/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
COPY site/ /app/site/
# Compiled here: the containers' file systems are read-only. Unchecked, since an image never changes. Packages may
# carry files for other Python versions, which do not compile and are never imported.
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /app/site >/dev/null || true
