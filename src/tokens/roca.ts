/** Tells RSA moduli made by the faulty Infineon library (CVE-2017-15361, "ROCA"): their private keys can be computed. */

const SMALL_PRIMES = [
  3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113,
  127, 131, 137, 139, 149, 151, 157, 163, 167,
];
const GENERATOR = 65537;

/** Such a modulus is a power of 65537 modulo every small prime; a sound one is so by chance once in about 2^27. */
export function hasRocaFingerprint(modulus: bigint): boolean {
  return SMALL_PRIMES.every(prime => isPowerOfGenerator(Number(modulus % BigInt(prime)), prime));
}

function isPowerOfGenerator(residue: number, prime: number): boolean {
  for (let i = 0, power = 1; i < prime; i++) {
    if (power === residue) return true;
    power = (power * GENERATOR) % prime;
  }
  return false;
}
