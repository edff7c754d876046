FROM debian:bookworm-slim
RUN useradd --uid 1000 --create-home opensearch
COPY jre /opt/java
COPY --chown=opensearch opensearch /usr/share/opensearch
COPY opensearch-entrypoint.sh /entrypoint.sh
RUN mkdir -p /usr/share/opensearch/data && chown opensearch /usr/share/opensearch /usr/share/opensearch/data
ENV OPENSEARCH_JAVA_HOME=/opt/java
USER opensearch
EXPOSE 9200
VOLUME /usr/share/opensearch/data
ENTRYPOINT ["bash", "/entrypoint.sh"]
