import { createHmac } from "node:crypto";

const HOUR_SECONDS = 3600;

const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A write token (JWT, HS256) for one application, valid for an hour. */
export function mintWriteToken(secret, user, applicationUid) {
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    user_uuid: user.uuid,
    username: user.name,
    application_uid: applicationUid,
    can_write: true,
    iat: now,
    exp: now + HOUR_SECONDS,
  };
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
  const signature = createHmac("sha256", secret).update(signed).digest("base64url");
  return `${signed}.${signature}`;
}
