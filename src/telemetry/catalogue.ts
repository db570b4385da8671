/** Every metric of runtime.md that can occur without a cluster: type, help, labels and, for histograms, bucket bounds. */

interface Described {
  readonly help: string;
  /** For the documentation; values are names of objects or words of a closed list, never text of a request. */
  readonly labels?: readonly string[];
}
export type MetricDefinition = Described &
  ({ readonly type: 'counter' | 'gauge' } | { readonly type: 'histogram'; readonly bounds: readonly number[] });

const DURATIONS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const LATENCIES = [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

const counter = (help: string, ...labels: readonly string[]): MetricDefinition => ({ type: 'counter', help, labels });
const gauge = (help: string, ...labels: readonly string[]): MetricDefinition => ({ type: 'gauge', help, labels });
const histogram = (help: string, bounds: readonly number[], ...labels: readonly string[]): MetricDefinition => ({
  type: 'histogram',
  help,
  bounds,
  labels,
});

export const CATALOGUE: ReadonlyMap<string, MetricDefinition> = new Map([
  ['sallyport_requests_total', counter('Requests answered', 'api', 'operation', 'verdict', 'reason', 'status_class')],
  [
    'sallyport_request_duration_seconds',
    histogram('From the complete request head to the end of the answer', DURATIONS, 'api'),
  ],
  [
    'sallyport_added_latency_seconds',
    histogram('The part of a request’s duration that was not spent waiting for the app', LATENCIES, 'api'),
  ],
  ['sallyport_denials_total', counter('Denials by the step that denied', 'policy', 'step', 'reason')],
  ['sallyport_audit_denials_total', counter('Denials that Audit policies would have made', 'policy', 'step', 'reason')],
  ['sallyport_allowances_active', gauge('Allowances of ClusterAuthPolicy in force')],
  ['sallyport_token_cache_hits', counter('Verified tokens found in the cache')],
  ['sallyport_token_cache_misses', counter('Tokens verified because the cache did not hold them')],
  ['sallyport_token_cache_entries', gauge('Verified tokens in the cache')],
  ['sallyport_issuer_keys_age_seconds', gauge('Time since the issuer’s keys were last fetched', 'issuer')],
  ['sallyport_device_auth_requests_total', counter('Calls to device-auth services by outcome', 'service', 'outcome')],
  ['sallyport_device_auth_duration_seconds', histogram('Calls to device-auth services', DURATIONS, 'service')],
  ['sallyport_device_auth_cache_hits_total', counter('Device look-ups answered from the cache', 'service')],
  ['sallyport_device_auth_breaker_state', gauge('0 closed, 1 half open, 2 open', 'service')],
  ['sallyport_certificate_expiry_timestamp_seconds', gauge('notAfter of certificates in use', 'use')],
  [
    'sallyport_client_certificate_days_left',
    histogram('Days until notAfter of client certificates that were accepted', [0, 1, 3, 7, 14, 30, 60, 90, 180, 365]),
  ],
  [
    'sallyport_revocation_soft_fails_total',
    counter('Certificates judged without a current revocation list, as mode SoftFail allows', 'trust'),
  ],
  [
    'sallyport_shared_store_requests_total',
    counter('Questions to the shared store of limits: ok, timeout, error, or skipped while it is away', 'outcome'),
  ],
  ['sallyport_shared_store_connected', gauge('1 while the shared store of limits answers')],
  ['sallyport_policy_generation', gauge('Counts the configurations that came into force; 0: none yet')],
  ['sallyport_policy_age_seconds', gauge('Time since the configuration in force was published')],
  [
    'sallyport_policy_rejected_total',
    counter('Configurations with errors, of which the last good parts stay in force'),
  ],
  ['sallyport_watch_connected', gauge('1 while the API server’s changes are being watched', 'resource')],
  [
    'sallyport_sync_age_seconds',
    gauge('Time since the API server was being watched (0: it is), and since the controller was last heard', 'from'),
  ],
  ['sallyport_controller_connected', gauge('1 while the material stream is open')],
  ['sallyport_watch_relists_total', counter('Lists after the first, by watched resource', 'resource')],
  ['sallyport_connections', gauge('Open client connections')],
  ['sallyport_refused_connections_total', counter('Connections closed before a request', 'reason')],
  [
    'sallyport_allowed_connections_total',
    counter('Connections passed unjudged to ports without an Api, by the ClusterAuthPolicy that allows it', 'policy'),
  ],
  ['sallyport_app_exposed_ports', gauge('Ports on which the app can be reached past the sidecar (explicit mode)')],
  [
    'sallyport_event_loop_lag_seconds',
    histogram('How late a timer of half a second fires', [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]),
  ],
  [
    'sallyport_admission_reviews_total',
    counter('Questions of the API server: webhook inject or validate, by outcome', 'webhook', 'outcome'),
  ],
  [
    'sallyport_admission_review_duration_seconds',
    histogram('From the head of a question of the API server to its answer', LATENCIES, 'webhook'),
  ],
  ['sallyport_controller_leader', gauge('1 on the replica that writes status and grants')],
  ['sallyport_controller_streams', gauge('Open material streams of this replica')],
  ['sallyport_controller_refused_requests_total', counter('Requests of sidecars that were refused', 'reason')],
  ['sallyport_controller_token_reviews_total', counter('Tokens that the API server was asked about', 'outcome')],
  ['sallyport_controller_token_review_duration_seconds', histogram('Reviews of tokens by the API server', LATENCIES)],
  ['sallyport_controller_mesh_certificates_total', counter('Requests for mesh certificates', 'outcome')],
  ['sallyport_controller_status_writes_total', counter('Writes of status', 'outcome')],
  [
    'sallyport_controller_unprotected_pods',
    gauge('Live pods of an opted-in namespace without our sidecar', 'pod_namespace'),
  ],
  [
    'sallyport_controller_outdated_sidecars',
    gauge('Live pods whose sidecar has another image than is injected now', 'pod_namespace'),
  ],
  [
    'sallyport_controller_left_open_pods',
    gauge('Live pods that leave ports open which no allowance grants any longer', 'pod_namespace'),
  ],
  ['sallyport_controller_unresolved_references', gauge('Objects that name what does not exist or may not be used')],
  ['sallyport_controller_unaccepted_objects', gauge('Objects that are invalid, in conflict or without their target')],
  ['sallyport_log_lines_dropped_total', counter('Log lines given up because standard output was not read')],
  ['sallyport_series_dropped_total', counter('Series not kept because a metric had too many')],
  ['process_cpu_user_seconds_total', counter('User CPU time')],
  ['process_cpu_system_seconds_total', counter('System CPU time')],
  ['process_start_time_seconds', gauge('Start of the process, seconds since the epoch')],
  ['process_resident_memory_bytes', gauge('Resident memory')],
  ['process_open_fds', gauge('Open file descriptors; absent where the system does not tell')],
  ['nodejs_heap_size_total_bytes', gauge('Heap of V8')],
  ['nodejs_heap_size_used_bytes', gauge('Heap of V8 in use')],
  ['nodejs_external_memory_bytes', gauge('Memory outside the heap of V8 that objects in it hold')],
]);
