{{/* Names and labels. */}}
{{- define "gantry.name" -}}
{{- if contains "gantry" .Release.Name -}}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{- else -}}{{ printf "%s-gantry" (.Release.Name | trunc 33 | trimSuffix "-") }}{{- end -}}
{{- end -}}

{{- define "gantry.image" -}}
{{- if .Values.image.digest -}}{{ .Values.image.repository }}@{{ .Values.image.digest }}{{- else -}}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{- end -}}
{{- end -}}

{{- define "gantry.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "gantry.name" .) }}
{{- end -}}

{{/* What selects pods; (dict "root" $ "role" "ingest"), or without a role all of them. */}}
{{- define "gantry.selector" -}}
app.kubernetes.io/name: gantry
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .role }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{- define "gantry.labels" -}}
{{ include "gantry.selector" . }}
app.kubernetes.io/version: {{ .root.Values.image.tag | default .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end -}}

{{/* Each role's ports (`gantry serve --list-roles`), its kind, and which roles its process plays. The members of consumer
groups are StatefulSets: a pod that comes back under its old name is the same Kafka member, and no partition moves.
`calls`: whether its process calls peers: ingest tries them for the page (`operations/peers`), query asks the archives of
`federation`, retrieve moves and routes, commitment reports. */}}
{{- define "gantry.table" -}}
door: {plays: door, kind: Deployment, dicom: 11112, tls: 2762, http: 8080, stores: false, calls: false}
ingest: {plays: ingest, kind: Deployment, dicom: 11113, http: 8081, stores: true, calls: true}
indexer: {plays: indexer, kind: StatefulSet, http: 8085, stores: true, calls: false}
query: {plays: query, kind: Deployment, dicom: 11114, http: 8082, stores: true, calls: true}
retrieve: {plays: retrieve, kind: Deployment, dicom: 11115, http: 8083, stores: true, calls: true}
commitment: {plays: commitment, kind: StatefulSet, dicom: 11116, http: 8084, stores: true, calls: true}
orders: {plays: orders, kind: Deployment, dicom: 11117, http: 8086, stores: true, calls: false}
mixed: {plays: ingest query retrieve commitment orders, kind: StatefulSet, dicom: 11112, http: 8080, stores: true, calls: true}
{{- end -}}

{{/* The roles that are on, each with its row of the table and its values over the defaults, as YAML. */}}
{{- define "gantry.roles" -}}
{{- $roles := dict -}}
{{- range $name, $row := fromYaml (include "gantry.table" .) -}}
{{- $values := mergeOverwrite (deepCopy $.Values.defaults) (deepCopy (index $.Values.roles $name | default dict)) -}}
{{- /* In shadow mode the door writes what it counts to the bucket. */}}
{{- if and (eq $name "door") (dig "door" "shadow" dict $.Values.settings) }}{{ $_ := set $row "stores" true }}{{ end -}}
{{- if and (eq $name "query") (not (dig "federation" "archives" list $.Values.settings)) }}{{ $_ := set $row "calls" false }}{{ end -}}
{{- /* A door of several archives has none of its own, and an archive behind one has no door of its own. */}}
{{- $here := ternary (ne $name "door") (or (not $.Values.partitions) (eq $name "door")) $.Values.door.elsewhere.enabled -}}
{{- if and $values.enabled $here -}}{{- $_ := set $roles $name (merge (dict "name" $name) $row $values) -}}{{- end -}}
{{- end -}}
{{- if and (not (hasKey $roles "door")) (not $.Values.door.elsewhere.enabled) }}{{ fail "roles.door.enabled: the door is the only way in, and cannot be switched off; door.elsewhere says that another release has it" }}{{ end -}}
{{- if and $.Values.partitions $.Values.door.elsewhere.enabled }}{{ fail "partitions: a release is the door of several archives, or one of these, not both" }}{{ end -}}
{{- if not $.Values.partitions -}}
{{- if not (hasKey $roles "indexer") }}{{ fail "roles.indexer.enabled: without an indexer nothing that is stored is ever found" }}{{ end -}}
{{- if not (hasKey $roles "mixed") -}}
{{- range list "ingest" "query" "retrieve" "commitment" "orders" -}}
{{- if not (hasKey $roles .) }}{{ fail (printf "roles.%s.enabled: somebody has to play this role: it, or mixed" .) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{ toYaml $roles }}
{{- end -}}

{{/* The pools that the door is given: each role that listens, under its Service's name: (dict "root" $), or with a "domain"
for a door that may be in another namespace. */}}
{{- define "gantry.pools" -}}
{{- $pools := dict -}}
{{- $domain := .domain | default "" -}}
{{- with .root -}}
{{- $roles := fromYaml (include "gantry.roles" .) -}}
{{- range $name := list "ingest" "query" "retrieve" "commitment" "orders" "mixed" -}}
{{- with index $roles $name -}}
{{- $_ := set $pools $name (list (printf "%s-%s%s:%d" (include "gantry.name" $.root) $name $domain (int .dicom))) -}}
{{- end -}}
{{- end -}}
{{- range $name := list "ingest" "query" "retrieve" "commitment" "orders" -}}
{{- $by := ternary $name "mixed" (hasKey $roles $name) -}}
{{- $_ := set $pools (printf "http_%s" $name) (list (printf "%s-%s%s:%d" (include "gantry.name" $.root) $by $domain (int (index $roles $by).http))) -}}
{{- end -}}
{{- with (.Values.settings.hl7 | default dict).port -}}
{{- $by := ternary "orders" "mixed" (hasKey $roles "orders") -}}
{{- $_ := set $pools "hl7" (list (printf "%s-%s%s:%d" (include "gantry.name" $.root) $by $domain (int .))) -}}
{{- end -}}
{{- end -}}
{{ toYaml $pools }}
{{- end -}}

{{/* gantry.yaml, the same in every pod: the given settings and the chart's own. */}}
{{- define "gantry.settings" -}}
{{- range $path := list "peers_file" "data" "lab" "peers" "dimse.port" "dimse.tls_port" "dimse.host" "dimse.proxy_from" "http.port" "http.host" "http.proxy_from" "http.tokens_file" "s3.secret_key_file" "s3.ca" "kafka.instance_id" "kafka.password_file" "kafka.ca" "opensearch.password_file" "opensearch.ca" "tls.certificate" "tls.key" "tls.ca" "door.ingest" "door.query" "door.retrieve" "door.commitment" "door.orders" "door.mixed" "door.http_ingest" "door.http_query" "door.http_retrieve" "door.http_commitment" "door.http_orders" "door.hl7" "door.partitions" "hl7.proxy_from" "door.key_file" "encryption.key_file" -}}
{{- $step := splitList "." $path -}}
{{- $within := ternary $.Values.settings (index $.Values.settings (first $step) | default dict) (eq (len $step) 1) -}}
{{- if hasKey $within (last $step) }}{{ fail (printf "settings.%s: the chart sets this one itself" $path) }}{{ end -}}
{{- end -}}
{{- if hasKey (.Values.settings.http | default dict) "tls_port" }}{{ fail "settings.http.tls_port: in Kubernetes an Ingress ends TLS" }}{{ end -}}
{{- if not .Values.partitions -}}
{{- range $name, $scheme := dict "objects" "s3" "log" "kafka" "index" "opensearch" -}}
{{- $url := index ($.Values.settings.storage | default dict) $name | default "" -}}
{{- if not (hasPrefix (printf "%s://" $scheme) $url) }}{{ fail (printf "settings.storage.%s: %q does not begin with %s://" $name $url $scheme) }}{{ end -}}
{{- end -}}
{{- if not .Values.podCidrs }}{{ fail "podCidrs: name the addresses of pods, or the services will not believe the door who the real peer is" }}{{ end -}}
{{- end -}}
{{- $own := dict -}}
{{- if .Values.partitions -}}
{{- $_ := set $own "door" (dict "partitions" (fromYamlArray (include "gantry.partitions" .))) -}}
{{- else -}}
{{- $own = dict "peers_file" "/etc/gantry/peers/peers.yaml" "door" (fromYaml (include "gantry.pools" (dict "root" .))) -}}
{{- end -}}
{{- range $section, $file := dict "s3" "secret_key_file" "kafka" "password_file" "opensearch" "password_file" -}}
{{- $secret := index $.Values.secrets $section -}}
{{- if and $secret.name (not (or $secret.accessKey $secret.username)) }}{{- $_ := set $own $section (dict $file (printf "/etc/gantry/secrets/%s" $section)) }}{{- end -}}
{{- $authority := index $.Values.authorities $section -}}
{{- if or $authority.configMap $authority.secret }}{{- $_ := set $own $section (merge (dict "ca" (printf "/etc/gantry/secrets/%s.pem" $section)) (index $own $section | default dict)) }}{{- end -}}
{{- end -}}
{{- if .Values.secrets.httpTokens.name }}{{- $_ := set $own "http" (dict "tokens_file" "/etc/gantry/secrets/http-tokens") }}{{- end -}}
{{- if .Values.secrets.tls.name -}}
{{- $tls := dict "certificate" "/etc/gantry/tls/tls.crt" "key" "/etc/gantry/tls/tls.key" -}}
{{- if .Values.secrets.tls.ca }}{{- $_ := set $tls "ca" "/etc/gantry/tls/ca.crt" }}{{- end -}}
{{- $_ := set $own "tls" $tls -}}
{{- $_ := set $own "dimse" (dict "tls_port" 2762) -}}
{{- end -}}
{{- range $path, $from := .Values.files -}}
{{- $step := splitList "." $path -}}
{{- if hasKey (index $.Values.settings (first $step) | default dict) (last $step) }}{{ fail (printf "settings.%s: `files` names it, too" $path) }}{{ end -}}
{{- if eq (not $from.secret) (not $from.configMap) }}{{ fail (printf "files.%s: from a secret or a configMap" $path) }}{{ end -}}
{{- if not $from.roles }}{{- $_ := set $own (first $step) (merge (dict (last $step) (printf "/etc/gantry/files/%s" $path)) (index $own (first $step) | default dict)) }}{{- end -}}
{{- end -}}
{{- range $name, $from := .Values.otherFiles -}}
{{- if eq (not $from.secret) (not $from.configMap) }}{{ fail (printf "otherFiles.%s: from a secret or a configMap" $name) }}{{ end -}}
{{- end -}}
{{- if .Values.auditSpool.claim -}}
{{- if hasKey (.Values.settings.audit | default dict) "spool" }}{{ fail "settings.audit.spool: auditSpool.claim sets it" }}{{ end -}}
{{- $_ := set $own "audit" (merge (dict "spool" "/var/spool/gantry") (index $own "audit" | default dict)) -}}
{{- end -}}
{{- if or .Values.shadowSpool.size .Values.shadowSpool.claim -}}
{{- if and .Values.shadowSpool.size .Values.shadowSpool.claim }}{{ fail "shadowSpool: size or claim, not both" }}{{ end -}}
{{- if dig "door" "shadow" "spool" "" .Values.settings }}{{ fail "settings.door.shadow.spool: shadowSpool sets it" }}{{ end -}}
{{- if not .Values.partitions -}}
{{- if not (dig "door" "shadow" dict .Values.settings) }}{{ fail "shadowSpool: needs settings.door.shadow" }}{{ end -}}
{{- $_ := set $own "door" (merge (dict "shadow" (dict "spool" "/var/spool/gantry-shadow")) $own.door) -}}
{{- end -}}
{{- end -}}
{{- $given := ternary (omit .Values.settings "storage") .Values.settings (not (not .Values.partitions)) -}}
{{ toYaml (mergeOverwrite (deepCopy $given) $own) }}
{{- end -}}

{{/* The archives behind a door of several, as `door.partitions` has them: their signs, and the settings file of each. */}}
{{- define "gantry.partitions" -}}
{{- $found := list -}}
{{- range .Values.partitions -}}
{{- $signs := omit . "configMap" "secrets" "files" "otherFiles" -}}
{{- $found = append $found (merge (dict "settings" (printf "/etc/gantry/partitions/%s/gantry.yaml" .name)) $signs) -}}
{{- end -}}
{{ toYaml $found }}
{{- end -}}

{{/* What a door of several reads of this archive: its settings, with its files where that door has them, and its pods by
names that hold in every namespace. */}}
{{- define "gantry.atTheDoor" -}}
{{- $_ := .Values.door.elsewhere.partition | required "door.elsewhere.partition: what the door's release calls this archive" -}}
{{- $settings := fromYaml (include "gantry.settings" .) -}}
{{- $door := fromYaml (include "gantry.pools" (dict "root" . "domain" (printf ".%s.svc" .Release.Namespace))) -}}
{{- if .Values.secrets.doorKey.name }}{{ $_ := set $door "key_file" "/etc/gantry/secrets/door-key" }}{{ end -}}
{{- toYaml (mergeOverwrite $settings (dict "door" $door)) | replace "/etc/gantry/" (printf "/etc/gantry/partitions/%s/" .Values.door.elsewhere.partition) }}
{{- end -}}

{{/* Ports of their own that partitions have at the door: rows of name, port and what it is, as YAML. */}}
{{- define "gantry.partitionPorts" -}}
{{- $found := list -}}
{{- range $n, $one := .Values.partitions -}}
{{- range $kind, $called := dict "port" "dicom" "tls_port" "dicom-tls" "hl7_port" "hl7" -}}
{{- with index $one $kind -}}
{{- if and (eq $kind "tls_port") (not $.Values.secrets.tls.name) }}{{ fail (printf "partitions: %s: tls_port needs secrets.tls" $one.name) }}{{ end -}}
{{- $found = append $found (dict "name" (printf "%s-%d" $called $n) "port" (int .) "kind" $called "partition" $one.name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{ toYaml $found }}
{{- end -}}

{{/* Where the canary and `helm test` call: HOST:PORT. */}}
{{- define "gantry.called" -}}
{{- if .Values.door.elsewhere.enabled -}}
{{ .Values.door.elsewhere.address | required "door.elsewhere.address: HOST:PORT of that door, which the canary and `helm test` call" }}
{{- else -}}
{{ include "gantry.name" . }}:{{ .Values.door.service.port }}
{{- end -}}
{{- end -}}

{{/* Sources of files that a setting names, for one role or, without one, for what has no role: (dict "root" $ "role" "ingest"). */}}
{{- define "gantry.fileSources" -}}
{{- range $path, $from := .root.Values.files }}
{{- if or (not $from.roles) (has $.role $from.roles) }}
{{ include "gantry.source" (dict "from" $from "path" $path) }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "gantry.source" -}}
- {{ ternary "secret" "configMap" (not (not .from.secret)) }}: {name: {{ .from.secret | default .from.configMap }}, items: [{key: {{ .from.key }}, path: {{ .path }}}]}
{{- end -}}

{{/* Settings of the files that only some roles have. */}}
{{- define "gantry.fileEnv" -}}
{{- range $path, $from := .root.Values.files }}
{{- if and $from.roles (has $.role $from.roles) }}
- {name: GANTRY_{{ $path | upper | replace "." "__" }}, value: /etc/gantry/files/{{ $path }}}
{{- end }}
{{- end }}
{{- end -}}

{{/* Seconds that a pod gets to end: the drain, and for the door the time before it in which nobody is to be cut off. */}}
{{- define "gantry.doorSleep" -}}10{{- end -}}
{{- define "gantry.grace" -}}
{{- add (ceil (.root.Values.settings.drain | default 30.0)) 10 (ternary (include "gantry.doorSleep" . | int) 0 (eq .role "door")) -}}
{{- end -}}

{{/* Restricted pod security, for everything that runs Gantry's image. */}}
{{- define "gantry.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end -}}
{{- define "gantry.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Files from Secrets that a pod of this kind needs: (dict "root" $ "stores" true "role" "ingest"), without a role for jobs. */}}
{{- define "gantry.secretSources" -}}
{{- $s := .root.Values.secrets -}}
{{- if .stores -}}
{{- with $s.s3 }}{{ if .name }}
- secret: {name: {{ .name }}, items: [{key: {{ .secretKey }}, path: s3}]}
{{- end }}{{ end }}
{{- with $s.encryption }}{{ if .name }}
- secret: {name: {{ .name }}, items: [{key: {{ .keys }}, path: encryption}]}
{{- end }}{{ end }}
{{- with $s.kafka }}{{ if .name }}
- secret: {name: {{ .name }}, items: [{key: {{ .password }}, path: kafka}]}
{{- end }}{{ end }}
{{- with $s.opensearch }}{{ if .name }}
- secret: {name: {{ .name }}, items: [{key: {{ .password }}, path: opensearch}]}
{{- end }}{{ end }}
{{- range $section, $from := .root.Values.authorities }}
{{- if $from.configMap }}
- configMap: {name: {{ $from.configMap }}, items: [{key: {{ $from.key }}, path: {{ $section }}.pem}]}
{{- else if $from.secret }}
- secret: {name: {{ $from.secret }}, items: [{key: {{ $from.key }}, path: {{ $section }}.pem}]}
{{- end }}
{{- end }}
{{- end }}
{{- with $s.httpTokens }}{{ if .name }}
- secret: {name: {{ .name }}, items: [{key: {{ .tokens }}, path: http-tokens}]}
{{- end }}{{ end }}
{{- if include "gantry.hasDoorKey" . }}
- secret: {name: {{ $s.doorKey.name }}, items: [{key: {{ $s.doorKey.key }}, path: door-key}]}
{{- end }}
{{- end -}}

{{/* Whether a pod of this kind has the key of door and services: (dict "root" $ "role" "ingest"). */}}
{{- define "gantry.hasDoorKey" -}}
{{- with .root.Values.secrets.doorKey }}{{ if and .name $.role (or .services (eq $.role "door")) }}yes{{ end }}{{ end }}
{{- end -}}

{{/* Environment from Secrets: who we are towards the stores. A file that goes with a name stands where the name stands:
each source of settings is checked by itself. */}}
{{- define "gantry.storeEnv" -}}
{{- with .Values.secrets.s3 }}{{ if and .name .accessKey }}
- {name: GANTRY_S3__ACCESS_KEY, valueFrom: {secretKeyRef: {name: {{ .name }}, key: {{ .accessKey }}}}}
- {name: GANTRY_S3__SECRET_KEY_FILE, value: /etc/gantry/secrets/s3}
{{- end }}{{ end }}
{{- if .Values.secrets.encryption.name }}
- {name: GANTRY_ENCRYPTION__KEY_FILE, value: /etc/gantry/secrets/encryption}
{{- end }}
{{- with .Values.secrets.kafka }}{{ if and .name .username }}
- {name: GANTRY_KAFKA__USERNAME, valueFrom: {secretKeyRef: {name: {{ .name }}, key: {{ .username }}}}}
- {name: GANTRY_KAFKA__PASSWORD_FILE, value: /etc/gantry/secrets/kafka}
- {name: GANTRY_KAFKA__SASL, value: {{ .sasl }}}
{{- end }}{{ end }}
{{- with .Values.secrets.opensearch }}{{ if and .name .username }}
- {name: GANTRY_OPENSEARCH__USERNAME, valueFrom: {secretKeyRef: {name: {{ .name }}, key: {{ .username }}}}}
- {name: GANTRY_OPENSEARCH__PASSWORD_FILE, value: /etc/gantry/secrets/opensearch}
{{- end }}{{ end }}
{{- end -}}

{{/* Volumes and where they are seen: (dict "root" $ "stores" true "tmp" "2Gi" "role" "ingest"), without a role for jobs. */}}
{{- define "gantry.volumes" -}}
- {name: config, configMap: {name: {{ include "gantry.name" .root }}}}
{{- if not .root.Values.partitions }}
- {name: peers, configMap: {name: {{ .root.Values.existingPeers | default (printf "%s-peers" (include "gantry.name" .root)) }}}}
{{- end }}
{{- range .root.Values.partitions }}
- name: partition-{{ .name }}
  projected:
    defaultMode: 0440
    sources:
      - configMap: {name: {{ .configMap }}, items: [{key: gantry.yaml, path: gantry.yaml}]}
      {{- with (.secrets | default dict).httpTokens }}
      - secret: {name: {{ .name }}, items: [{key: {{ .tokens | default "tokens" }}, path: secrets/http-tokens}]}
      {{- end }}
      {{- with (.secrets | default dict).doorKey }}
      - secret: {name: {{ .name }}, items: [{key: {{ .key | default "door-key" }}, path: secrets/door-key}]}
      {{- end }}
      {{- range $path, $from := .files }}
      {{- include "gantry.source" (dict "from" $from "path" (printf "files/%s" $path)) | nindent 6 }}
      {{- end }}
      {{- range $name, $from := .otherFiles }}
      {{- include "gantry.source" (dict "from" $from "path" (printf "other/%s" $name)) | nindent 6 }}
      {{- end }}
{{- end }}
- {name: tmp, emptyDir: {sizeLimit: {{ .tmp }}}}
- {name: data, emptyDir: {sizeLimit: 100Mi}}
{{- with include "gantry.secretSources" . }}
- name: secrets
  projected:
    defaultMode: 0440
    sources: {{- . | nindent 6 }}
{{- end }}
{{- with include "gantry.fileSources" . | trim }}
- name: files
  projected:
    defaultMode: 0440
    sources: {{- . | nindent 6 }}
{{- end }}
{{- if .root.Values.otherFiles }}
- name: other
  projected:
    defaultMode: 0440
    sources:
      {{- range $name, $from := .root.Values.otherFiles }}
      {{- include "gantry.source" (dict "from" $from "path" $name) | nindent 6 }}
      {{- end }}
{{- end }}
{{- with .root.Values.auditSpool.claim }}
- {name: audit, persistentVolumeClaim: {claimName: {{ . }}}}
{{- end }}
{{- if eq (.role | default "") "door" }}
{{- with .root.Values.shadowSpool }}
{{- if .size }}
- {name: shadow, emptyDir: {sizeLimit: {{ .size }}}}
{{- else if .claim }}
- {name: shadow, persistentVolumeClaim: {claimName: {{ .claim }}}}
{{- end }}
{{- end }}
{{- end }}
{{- with .root.Values.secrets.tls }}{{ if .name }}
- name: tls
  secret:
    secretName: {{ .name }}
    defaultMode: 0440
    items:
      - {key: {{ .certificate }}, path: tls.crt}
      - {key: {{ .key }}, path: tls.key}
      {{- if .ca }}
      - {key: {{ .ca }}, path: ca.crt}
      {{- end }}
{{- end }}{{ end }}
{{- end -}}

{{- define "gantry.mounts" -}}
- {name: config, mountPath: /etc/gantry/gantry.yaml, subPath: gantry.yaml, readOnly: true}
{{- if not .root.Values.partitions }}
- {name: peers, mountPath: /etc/gantry/peers, readOnly: true}
{{- end }}
{{- range .root.Values.partitions }}
- {name: partition-{{ .name }}, mountPath: /etc/gantry/partitions/{{ .name }}, readOnly: true}
{{- end }}
- {name: tmp, mountPath: /tmp}
- {name: data, mountPath: /var/lib/gantry}
{{- if include "gantry.secretSources" . }}
- {name: secrets, mountPath: /etc/gantry/secrets, readOnly: true}
{{- end }}
{{- if include "gantry.fileSources" . | trim }}
- {name: files, mountPath: /etc/gantry/files, readOnly: true}
{{- end }}
{{- if .root.Values.otherFiles }}
- {name: other, mountPath: /etc/gantry/other, readOnly: true}
{{- end }}
{{- if .root.Values.auditSpool.claim }}
- {name: audit, mountPath: /var/spool/gantry}
{{- end }}
{{- if and (eq (.role | default "") "door") (or .root.Values.shadowSpool.size .root.Values.shadowSpool.claim) }}
- {name: shadow, mountPath: /var/spool/gantry-shadow}
{{- end }}
{{- if .root.Values.secrets.tls.name }}
- {name: tls, mountPath: /etc/gantry/tls, readOnly: true}
{{- end }}
{{- end -}}

{{/* Partitions of the topic `instances`: more indexers than that are idle. */}}
{{- define "gantry.usefulIndexers" -}}24{{- end -}}

{{/* How an autoscaler goes up and down: one pod at a time down, each with time to drain: (dict "root" $ "role" "ingest"
"stabilization" 300). */}}
{{- define "gantry.behavior" -}}
scaleUp:
  stabilizationWindowSeconds: 0
scaleDown:
  stabilizationWindowSeconds: {{ .stabilization }}
  policies: [{type: Pods, value: 1, periodSeconds: {{ max 60 (include "gantry.grace" (dict "root" .root "role" .role) | int) }}}]
{{- end }}
