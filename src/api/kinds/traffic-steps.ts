/** Steps that look at where a request comes from and how many there are (P7, P8). */
import { defaulted, list, object, optional, string, type Infer } from '../schema.ts';

const addresses = string({
  description: 'One address, a range in CIDR notation, or FIRST-LAST, both included.',
  minLength: 2,
  maxLength: 91,
  holds: 'addressRange',
});

export const ipFilterStep = object(
  {
    allow: optional(
      list(addresses, {
        description:
          'Addresses that may pass; any other is 403 AddressNotAllowed. Absent: every address that deny does not hold.',
        example: ['203.0.113.0/24', '198.51.100.7-198.51.100.20'],
        minItems: 1,
        maxItems: 10000,
      }),
    ),
    deny: defaulted(
      list(addresses, {
        description: 'Addresses that are 403 AddressBlocked; looked at first.',
        example: ['203.0.113.66'],
        maxItems: 10000,
      }),
      [],
    ),
  },
  {
    rules: [
      {
        cel: 'has(self.allow) || self.deny.size() > 0',
        test: v => 'allow' in v || (v['deny'] as readonly unknown[]).length > 0,
        field: '',
        problem: 'lists no address, so it would let everybody pass',
        fix: 'write allow, deny or both',
      },
    ],
  },
);
export type IpFilterStep = Infer<typeof ipFilterStep>;
