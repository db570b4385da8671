/** Steps that know callers by a shared secret (P9, P10). */
import { defaulted, object, optional, type Infer } from '../schema.ts';
import { headerName, queryName } from './shared.ts';

export const subscriptionStep = object({
  header: defaulted(
    {
      ...headerName,
      description: 'The header that carries the key; empty everywhere: 401 SubscriptionKeyNotFound.',
      example: 'X-Api-Key',
    },
    'Ocp-Apim-Subscription-Key',
  ),
  query: optional({
    ...queryName,
    description:
      'The query parameter that is looked at when the header is empty; absent: none. URLs are logged in many places, so prefer the header.',
    example: 'subscription-key',
  }),
});
export type SubscriptionStep = Infer<typeof subscriptionStep>;
