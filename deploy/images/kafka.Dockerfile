FROM debian:bookworm-slim
RUN useradd --uid 1000 --create-home kafka && mkdir -p /var/lib/kafka/data && chown kafka /var/lib/kafka/data
COPY jre /opt/java
COPY kafka /opt/kafka
COPY kafka-entrypoint.sh /entrypoint.sh
USER kafka
EXPOSE 9092
VOLUME /var/lib/kafka/data
ENTRYPOINT ["bash", "/entrypoint.sh"]
