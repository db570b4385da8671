/** The one form of a path that is judged and forwarded (RFC 3986 section 6.2.2), or why there is none. */

export type CanonicalPath =
  | { readonly path: string; readonly reason?: undefined }
  | { readonly path?: undefined; readonly reason: 'AmbiguousPath' | 'MalformedRequest' };
