FROM debian:bookworm-slim
COPY versitygw /usr/local/bin/
EXPOSE 7070
ENTRYPOINT ["/usr/local/bin/versitygw"]
