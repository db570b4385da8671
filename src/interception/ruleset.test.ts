import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { renderRuleset } from './ruleset.ts';

describe('the rules of a pod', () => {
  it('are one table that replaces itself in one transaction, with numbers for protocols', () =>
    assert.equal(
      renderRuleset({ proxyPort: 15190, excludePorts: [15191, 9090, 9090], udpPorts: [53] }),
      `add table inet sallyport
delete table inet sallyport
table inet sallyport {
  chain intercept {
    type nat hook prerouting priority -110; policy accept;
    iifname "lo" return
    meta l4proto 6 th dport { 9090, 15191 } return
    meta l4proto 6 redirect to :15190
  }
  chain guard {
    type filter hook input priority 0; policy drop;
    iifname "lo" accept
    ct state established,related accept
    meta l4proto { 1, 58 } accept
    meta l4proto 6 th dport { 9090, 15190, 15191 } accept
    meta l4proto 17 th dport { 53 } accept
  }
}
`,
    ));

  it('exclude nothing and open no UDP port unless they are told to', () => {
    const text = renderRuleset({ proxyPort: 15190, excludePorts: [], udpPorts: [] });
    assert.doesNotMatch(text, /dport .* return|l4proto 17/);
    assert.match(text, /meta l4proto 6 th dport \{ 15190 \} accept/);
  });

  it('intercept the proxy’s own port even if it is said to be excluded', () =>
    assert.doesNotMatch(renderRuleset({ proxyPort: 15190, excludePorts: [15190], udpPorts: [] }), /return.*15190/));
});
