/** Quantities of bytes as Kubernetes writes them: `64Ki`, `1Mi`, `1.5Gi`, `1048576`. */

const KI = 1024;
const SUFFIX: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: KI,
  Mi: KI ** 2,
  Gi: KI ** 3,
  Ti: KI ** 4,
};

/** The form of a quantity written as text; the custom resource definitions carry it too. */
export const QUANTITY_PATTERN = '^[0-9]{1,15}([.][0-9]{1,3})?(Ki|Mi|Gi|Ti|k|M|G|T)?$';

const WHOLE = /^([0-9]{1,15}(?:[.][0-9]{1,3})?)(Ki|Mi|Gi|Ti|k|M|G|T)?$/;

/** Bytes, or undefined when the value is no quantity or no whole number of bytes. Bounds are the schema's. */
export function parseQuantity(value: string | number): number | undefined {
  const [, digits = '', suffix = ''] = WHOLE.exec(String(value)) ?? [];
  if (digits === '') return undefined;
  const bytes = Number(digits) * (SUFFIX[suffix] ?? 1);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** The shortest text that `parseQuantity` reads back as the same number of bytes. */
export function formatQuantity(bytes: number): string {
  for (const suffix of ['Ti', 'Gi', 'Mi', 'Ki'] as const) {
    const size = SUFFIX[suffix] ?? 1;
    if (bytes >= size && bytes % size === 0) return `${bytes / size}${suffix}`;
  }
  return String(bytes);
}
