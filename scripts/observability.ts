/** The dashboard and the alert rules of the chart, as data: generate.ts writes them, test/observability asks Prometheus. */

export interface Panel {
  readonly title: string;
  /** What it tells, and what to do. */
  readonly description: string;
  readonly unit: 'reqps' | 's' | 'percentunit' | 'short' | 'bytes' | 'dateTimeFromNow';
  readonly queries: readonly { readonly legend: string; readonly expr: string }[];
  /** Whose metrics they are; the dashboard’s variables choose among sidecars. */
  readonly about: 'sidecars' | 'controller';
}

/** `$job` and `$namespace` are the dashboard's variables. */
const AT = '{job=~"$job",namespace=~"$namespace"}';
const at = (more: string): string => `{job=~"$job",namespace=~"$namespace",${more}}`;
const quantile = (q: number, metric: string): string =>
  `histogram_quantile(${q}, sum by (le) (rate(${metric}_bucket${AT}[$__rate_interval])))`;

const SIDECAR_PANELS: readonly Omit<Panel, 'about'>[] = [
  {
    title: 'Requests by verdict',
    description: 'Permit, AuditPermit, Deny and Respond.',
    unit: 'reqps',
    queries: [
      { legend: '{{verdict}}', expr: `sum by (verdict) (rate(sallyport_requests_total${AT}[$__rate_interval]))` },
    ],
  },
  {
    title: 'Denials by reason',
    description: 'Reasons are those of the reference; the log line of a denial names policy and step.',
    unit: 'reqps',
    queries: [
      {
        legend: '{{reason}}',
        expr: `sum by (reason) (rate(sallyport_requests_total${at('verdict="Deny"')}[$__rate_interval]))`,
      },
    ],
  },
  {
    title: 'Denials by policy and step',
    description: 'Which step denies.',
    unit: 'reqps',
    queries: [
      {
        legend: '{{policy}}/{{step}} {{reason}}',
        expr: `sum by (policy, step, reason) (rate(sallyport_denials_total${AT}[$__rate_interval]))`,
      },
    ],
  },
  {
    title: 'Would-deny of Audit policies',
    description: 'What would be denied if these policies were enforced.',
    unit: 'reqps',
    queries: [
      {
        legend: '{{policy}}/{{step}} {{reason}}',
        expr: `sum by (policy, step, reason) (rate(sallyport_audit_denials_total${AT}[$__rate_interval]))`,
      },
    ],
  },
  {
    title: 'Could not be decided (503)',
    description:
      'Keys, device-auth, revocation lists, credentials or policies are missing. Never counted as unauthorised.',
    unit: 'reqps',
    queries: [
      {
        legend: '{{reason}}',
        expr: `sum by (reason) (rate(sallyport_requests_total${at('verdict="Deny",status_class="5xx"')}[$__rate_interval]))`,
      },
    ],
  },
  {
    title: 'Added latency',
    description: 'The part of a request’s time that was not spent waiting for the app.',
    unit: 's',
    queries: [
      { legend: 'p50', expr: quantile(0.5, 'sallyport_added_latency_seconds') },
      { legend: 'p99', expr: quantile(0.99, 'sallyport_added_latency_seconds') },
    ],
  },
  {
    title: 'Request duration',
    description: 'From the complete head to the end of the answer.',
    unit: 's',
    queries: [
      { legend: 'p50', expr: quantile(0.5, 'sallyport_request_duration_seconds') },
      { legend: 'p99', expr: quantile(0.99, 'sallyport_request_duration_seconds') },
    ],
  },
  {
    title: 'Token cache hit ratio',
    description: 'Verified tokens found in the cache.',
    unit: 'percentunit',
    queries: [
      {
        legend: 'hits',
        expr: `sum(rate(sallyport_token_cache_hits_total${AT}[$__rate_interval])) / (sum(rate(sallyport_token_cache_hits_total${AT}[$__rate_interval])) + sum(rate(sallyport_token_cache_misses_total${AT}[$__rate_interval])))`,
      },
    ],
  },
  {
    title: 'Age of issuers’ keys',
    description: 'Keys older than cache.maxAge are fetched again; past cache.maxStale they are no longer used.',
    unit: 's',
    queries: [{ legend: '{{issuer}}', expr: `max by (issuer) (sallyport_issuer_keys_age_seconds${AT})` }],
  },
  {
    title: 'Device look-ups',
    description: 'Calls by outcome, and answers from the cache.',
    unit: 'reqps',
    queries: [
      {
        legend: '{{service}} {{outcome}}',
        expr: `sum by (service, outcome) (rate(sallyport_device_auth_requests_total${AT}[$__rate_interval]))`,
      },
      {
        legend: '{{service}} cached',
        expr: `sum by (service) (rate(sallyport_device_auth_cache_hits_total${AT}[$__rate_interval]))`,
      },
    ],
  },
  {
    title: 'Certificates end',
    description: 'notAfter of certificates in use.',
    unit: 'dateTimeFromNow',
    queries: [{ legend: '{{use}}', expr: `min by (use) (sallyport_certificate_expiry_timestamp_seconds${AT}) * 1000` }],
  },
  {
    title: 'Configuration in force',
    description: 'How long ago it came into force, and how often a newer one had errors.',
    unit: 's',
    queries: [{ legend: 'oldest', expr: `max(sallyport_policy_age_seconds${AT})` }],
  },
  {
    title: 'Connections',
    description: 'Open client connections.',
    unit: 'short',
    queries: [{ legend: 'open', expr: `sum(sallyport_connections${AT})` }],
  },
  {
    title: 'Refused connections',
    description: 'Closed before a request: no Api at the port, limits, handshakes.',
    unit: 'reqps',
    queries: [
      {
        legend: '{{reason}}',
        expr: `sum by (reason) (rate(sallyport_refused_connections_total${AT}[$__rate_interval]))`,
      },
    ],
  },
  {
    title: 'Event loop lag',
    description: 'How late timers fire: the sidecar has more to do than one core.',
    unit: 's',
    queries: [{ legend: 'p99', expr: quantile(0.99, 'sallyport_event_loop_lag_seconds') }],
  },
  {
    title: 'Memory',
    description: 'Resident memory of sidecars.',
    unit: 'bytes',
    queries: [{ legend: 'largest', expr: `max(process_resident_memory_bytes${AT})` }],
  },
];

const CONTROLLER_PANELS: readonly Omit<Panel, 'about'>[] = [
  {
    title: 'Pods to start anew',
    description:
      'Pods of opted-in namespaces without a sidecar, those whose sidecar is of another version, and those that leave ports open past their allowance.',
    unit: 'short',
    queries: [
      {
        legend: '{{pod_namespace}} without a sidecar',
        expr: 'max by (pod_namespace) (sallyport_controller_unprotected_pods)',
      },
      {
        legend: '{{pod_namespace}} outdated',
        expr: 'max by (pod_namespace) (sallyport_controller_outdated_sidecars)',
      },
      {
        legend: '{{pod_namespace}} open past an allowance',
        expr: 'max by (pod_namespace) (sallyport_controller_left_open_pods)',
      },
    ],
  },
  {
    title: 'Objects to mend',
    description: 'kubectl get sallyport -A shows which, and kubectl describe says why.',
    unit: 'short',
    queries: [
      { legend: 'not accepted', expr: 'max(sallyport_controller_unaccepted_objects)' },
      { legend: 'unresolved references', expr: 'max(sallyport_controller_unresolved_references)' },
    ],
  },
  {
    title: 'Sidecars connected to the controller',
    description: 'Open material streams of each replica.',
    unit: 'short',
    queries: [{ legend: '{{instance}}', expr: 'sum by (instance) (sallyport_controller_streams)' }],
  },
  {
    title: 'Requests of sidecars to the controller',
    description: 'Tokens reviewed by the API server, and requests that were refused.',
    unit: 'reqps',
    queries: [
      {
        legend: 'review {{outcome}}',
        expr: 'sum by (outcome) (rate(sallyport_controller_token_reviews_total[$__rate_interval]))',
      },
      {
        legend: 'refused {{reason}}',
        expr: 'sum by (reason) (rate(sallyport_controller_refused_requests_total[$__rate_interval]))',
      },
    ],
  },
  {
    title: 'Admission',
    description: 'Pods and policies that the API server asked about, and how long that took.',
    unit: 'reqps',
    queries: [
      {
        legend: '{{webhook}} {{outcome}}',
        expr: 'sum by (webhook, outcome) (rate(sallyport_admission_reviews_total[$__rate_interval]))',
      },
    ],
  },
  {
    title: 'Writes of status',
    description: 'Counts of pods are gathered before they are written.',
    unit: 'reqps',
    queries: [
      {
        legend: '{{outcome}}',
        expr: 'sum by (outcome) (rate(sallyport_controller_status_writes_total[$__rate_interval]))',
      },
    ],
  },
];

export const PANELS: readonly Panel[] = [
  ...SIDECAR_PANELS.map(panel => ({ ...panel, about: 'sidecars' as const })),
  ...CONTROLLER_PANELS.map(panel => ({ ...panel, about: 'controller' as const })),
];

export interface Alert {
  readonly name: string;
  readonly expr: string;
  readonly for: string;
  readonly severity: 'critical' | 'warning';
  readonly summary: string;
  /** What to do first. */
  readonly action: string;
}

export const ALERTS: readonly Alert[] = [
  {
    name: 'SallyportCannotDecide',
    expr: 'sum by (namespace, reason) (rate(sallyport_requests_total{verdict="Deny",status_class="5xx",reason!~"App.*"}[5m])) > 0',
    for: '5m',
    severity: 'critical',
    summary: 'Requests in {{ $labels.namespace }} are answered 503 {{ $labels.reason }}',
    action:
      'kubectl exec POD -c sallyport -- sallyport status names what is missing: keys, device-auth, a list, a credential, a policy.',
  },
  {
    name: 'SallyportKeysStale',
    expr: 'max by (namespace, issuer) (sallyport_issuer_keys_age_seconds) > 3600',
    for: '10m',
    severity: 'warning',
    summary: 'Keys of {{ $labels.issuer }} were last fetched over an hour ago',
    action: 'Reach the issuer from the pod; tokens are accepted until cache.maxStale, then 503 KeysUnavailable.',
  },
  {
    name: 'SallyportDeviceAuthBreakerOpen',
    expr: 'max by (namespace, service) (sallyport_device_auth_breaker_state) == 2',
    for: '2m',
    severity: 'critical',
    summary: '{{ $labels.service }} fails, so it is not asked for a while',
    action: 'Look at the device-auth service; devices without a cached answer get 503.',
  },
  {
    name: 'SallyportCertificateEnds',
    expr: 'min by (namespace, use) (sallyport_certificate_expiry_timestamp_seconds) - time() < 86400',
    for: '10m',
    severity: 'critical',
    summary: 'The certificate {{ $labels.use }} ends within a day',
    action: 'Managed certificates: is the controller reachable? Others: renew the Secret.',
  },
  {
    name: 'SallyportPolicyRejected',
    expr: 'sum by (namespace) (increase(sallyport_policy_rejected_total[15m])) > 0',
    for: '0m',
    severity: 'warning',
    summary: 'A configuration with errors was refused; its last good parts stay in force',
    action: 'kubectl get sallyport -n {{ $labels.namespace }} shows which object, and why.',
  },
  {
    name: 'SallyportWatchDown',
    expr: 'min by (namespace, resource) (sallyport_watch_connected) == 0',
    for: '10m',
    severity: 'warning',
    summary: 'A sidecar has not seen changes of {{ $labels.resource }} for ten minutes',
    action: 'The last good policies stay in force. Is the API server reachable from the pod, and its Role in place?',
  },
  {
    name: 'SallyportAllowanceInForce',
    expr: 'max by (namespace) (sallyport_allowances_active) > 0',
    for: '24h',
    severity: 'warning',
    summary: 'An allowance has weakened the protection of {{ $labels.namespace }} for a day',
    action: 'kubectl get cauthpol -o yaml shows allowances and until when they hold.',
  },
  {
    name: 'SallyportPodsUnprotected',
    expr: 'max by (pod_namespace) (sallyport_controller_unprotected_pods) > 0',
    for: '15m',
    severity: 'warning',
    summary: '{{ $value }} pods of {{ $labels.pod_namespace }} run without their sidecar',
    action:
      'kubectl get events -n {{ $labels.pod_namespace }} names them (NoSidecar): made before the label, they need a new start.',
  },
  {
    name: 'SallyportSidecarsOutdated',
    expr: 'max by (pod_namespace) (sallyport_controller_outdated_sidecars) > 0',
    for: '24h',
    severity: 'warning',
    summary: '{{ $value }} pods of {{ $labels.pod_namespace }} have a sidecar of another version than is injected now',
    action: 'Sidecars change when pods start anew: kubectl rollout restart -n {{ $labels.pod_namespace }} deployment.',
  },
  {
    name: 'SallyportAllowanceEnded',
    expr: 'max by (pod_namespace) (sallyport_controller_left_open_pods) > 0',
    for: '15m',
    severity: 'warning',
    summary: '{{ $value }} pods of {{ $labels.pod_namespace }} leave ports open that no allowance grants any longer',
    action:
      'kubectl get events -n {{ $labels.pod_namespace }} names them (AllowanceEnded). Rules are written when a pod starts: take the annotation away and make the pods anew.',
  },
  {
    name: 'SallyportNoLeader',
    // A controller that is gone altogether has no series.
    expr: '(sum(sallyport_controller_leader) or vector(0)) == 0',
    for: '5m',
    severity: 'warning',
    summary: 'No replica of the controller leads: status and grants stand still',
    action:
      'Requests are judged all the same. Look at the logs of the controller, and at the lease sallyport-controller.',
  },
];

const GRID_WIDTH = 24;
const PANEL = { w: 12, h: 8 } as const;

/** Grafana's dashboard model, schema version 39. */
export function renderDashboard(): string {
  const perRow = GRID_WIDTH / PANEL.w;
  const panels = PANELS.map(({ title, description, unit, queries }, index) => ({
    id: index + 1,
    type: 'timeseries',
    title,
    description,
    datasource: { type: 'prometheus', uid: '${datasource}' },
    gridPos: { ...PANEL, x: (index % perRow) * PANEL.w, y: Math.floor(index / perRow) * PANEL.h },
    fieldConfig: { defaults: { unit }, overrides: [] },
    options: { legend: { displayMode: 'table', placement: 'bottom', calcs: ['lastNotNull'] } },
    targets: queries.map(({ legend, expr }, at) => ({
      refId: String.fromCharCode(65 + at),
      expr,
      legendFormat: legend,
      datasource: { type: 'prometheus', uid: '${datasource}' },
    })),
  }));
  const variable = (name: string, label: string) => ({
    name,
    type: 'query',
    datasource: { type: 'prometheus', uid: '${datasource}' },
    query: `label_values(sallyport_policy_generation, ${label})`,
    includeAll: true,
    multi: true,
    current: { text: 'All', value: '$__all' },
    allValue: '.*',
  });
  const dashboard = {
    uid: 'sallyport',
    title: 'Sallyport',
    tags: ['sallyport', 'security'],
    schemaVersion: 39,
    timezone: 'browser',
    refresh: '30s',
    time: { from: 'now-3h', to: 'now' },
    templating: {
      list: [
        { name: 'datasource', type: 'datasource', query: 'prometheus', current: {} },
        variable('job', 'job'),
        variable('namespace', 'namespace'),
      ],
    },
    panels,
  };
  return `${JSON.stringify(dashboard, undefined, 2)}\n`;
}

/** A rules file of Prometheus, as promtool reads it; the chart wraps it in a PrometheusRule. */
export const renderRules = (): unknown => ({
  groups: [
    {
      name: 'sallyport',
      rules: ALERTS.map(({ name, expr, severity, summary, action, for: pending }) => ({
        alert: name,
        expr,
        for: pending,
        labels: { severity },
        annotations: { summary, description: action },
      })),
    },
  ],
});
