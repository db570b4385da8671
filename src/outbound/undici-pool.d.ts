/** undici's connection pool alone: importing it costs a third of the memory of the package's main file (measured). */
declare module 'undici/lib/dispatcher/pool.js' {
  import { Pool } from 'undici';
  export default Pool;
}
