//! Keys of the worker itself.

use super::{
    Fallback::{Derived, Required, Unset, Value},
    keys,
};

keys! { WORKER:

    CONFIG_JSON {
        name: "ZE_WORKER_CONFIG_JSON", section: File, default: Unset, secret: false,
        example: "/etc/favonius/config.json",
        about: "Path of the JSON file with settings. Read from the environment only. A file that is named and cannot be read stops the start.",
    }

    JWT_SECRET {
        name: "ZE_WORKER_JWT_SECRET", section: Tokens, default: Required, secret: true,
        example: "the output of `openssl rand -base64 48`",
        about: "Key that write tokens are verified with, the same on every worker of every region: a shared secret (32 bytes or more), a PEM public key or a JWK. Required in every storage mode.",
    }
    JWT_SECRET_PREVIOUS {
        name: "ZE_WORKER_JWT_SECRET_PREVIOUS", section: Tokens, default: Unset, secret: true,
        example: "the other of the two values while ZE_WORKER_JWT_SECRET is changed",
        about: "A second secret that is accepted and never signed with, so that secrets can be changed without refusing tokens that are under way. Remove it when the old tokens have run out.",
    }
    JWT_REQUIRE_APPLICATION {
        name: "ZE_WORKER_JWT_REQUIRE_APPLICATION", section: Tokens, default: Value("true"), secret: false,
        example: "false",
        about: "`false` also takes tokens that name no application.",
    }

    HOST {
        name: "ZE_WORKER_HOST", section: Server, default: Value("::"), secret: false,
        example: "127.0.0.1",
        about: "IP address to listen on. `::` is every address of IPv6 and IPv4; on a machine without IPv6 it means `0.0.0.0`.",
    }
    PORT {
        name: "ZE_WORKER_PORT", section: Server, default: Value("8080"), secret: false,
        example: "8080",
        about: "Port for HTTP. `0` takes a free one, which the line `Worker listening` names.",
    }
    TLS_CERT_FILE {
        name: "ZE_WORKER_TLS_CERT_FILE", section: Server, default: Unset, secret: false,
        example: "/etc/favonius/tls/tls.crt",
        about: "PEM file with the certificate chain, leaf first. With it the worker speaks HTTPS itself; it is read again when it changes. Goes with `ZE_WORKER_TLS_KEY_FILE`.",
    }
    TLS_KEY_FILE {
        name: "ZE_WORKER_TLS_KEY_FILE", section: Server, default: Unset, secret: false,
        example: "/etc/favonius/tls/tls.key",
        about: "PEM file with the private key of that certificate.",
    }
    PUBLIC_URL {
        name: "ZE_WORKER_PUBLIC_URL", section: Server, default: Unset, secret: false,
        example: "https://edge.example.com",
        about: "Origin that the URLs of versions are built from when the `domain` of a snapshot is of no use.",
    }
    DELIMITER {
        name: "ZE_WORKER_DELIMITER", section: Server, default: Value("-"), secret: false,
        example: "-",
        about: "What joins the label of an application and the edge domain in a hostname: `-`, `.` or `_`.",
    }
    LOG_LEVEL {
        name: "ZE_WORKER_LOG_LEVEL", section: Server, default: Value("info"), secret: false,
        example: "info",
        about: "Least serious level that is logged: `trace`, `debug`, `info`, `warn`, `error` or `fatal`.",
    }
    ACCESS_LOG {
        name: "ZE_WORKER_ACCESS_LOG", section: Server, default: Value("false"), secret: false,
        example: "true",
        about: "`true` logs a line for each request.",
    }
    SHUTDOWN_GRACE_MS {
        name: "ZE_WORKER_SHUTDOWN_GRACE_MS", section: Server, default: Value("25000"), secret: false,
        example: "25000",
        about: "How long requests under way may take after SIGTERM, in milliseconds, at most one hour. Keep it 10 s or more below the pod's `terminationGracePeriodSeconds`: sending the last telemetry may take 5 s more.",
    }

    UPLOAD_MAX_BYTES {
        name: "ZE_WORKER_UPLOAD_MAX_BYTES", section: Assets, default: Value("268435456"), secret: false,
        example: "268435456",
        about: "Largest asset in bytes, at most 5 GiB.",
    }
    SNAPSHOT_MAX_BYTES {
        name: "ZE_WORKER_SNAPSHOT_MAX_BYTES", section: Assets, default: Value("33554432"), secret: false,
        example: "33554432",
        about: "Largest body of a snapshot or publish request in bytes, at most 1 GiB. These are held in memory.",
    }
    ASSET_HASH {
        name: "ZE_WORKER_ASSET_HASH", section: Assets, default: Value("strict"), secret: false,
        example: "strict",
        about: "What happens to an asset whose hash does not match its bytes: `strict` rejects it, `warn` logs and keeps it, `off` does not look.",
    }
    CACHE_BYTES {
        name: "ZE_WORKER_CACHE_BYTES", section: Assets,
        default: Derived("a quarter of the memory limit of the control group, at most 1 GiB; 256 MiB without a limit"), secret: false,
        example: "268435456",
        about: "Memory for assets in bytes: three quarters for what is kept, the rest for what is on its way in and out. With less than 8 MiB no asset is kept.",
    }

    READYZ {
        name: "ZE_WORKER_READYZ", section: Probes, default: Value("strict"), secret: false,
        example: "serving",
        about: "When `/readyz` says yes: `strict` while bucket and Redis answer; `serving` also while a warm worker can serve the deployments it knows from memory, so that an outage of Redis does not take all workers out of the load balancer.",
    }
    METRICS_PORT {
        name: "ZE_WORKER_METRICS_PORT", section: Probes, default: Unset, secret: false,
        example: "9090",
        about: "Port of a listener of its own for `/metrics` and the probes, in plain HTTP. Unset, `/metrics` is on the HTTP port. `0` takes a free one, which the line `Worker listening` names.",
    }
    METRICS_TOKEN {
        name: "ZE_WORKER_METRICS_TOKEN", section: Probes, default: Unset, secret: true,
        example: "the output of `openssl rand -hex 24`",
        about: "Bearer token that `/metrics` then asks for.",
    }

    STORAGE {
        name: "ZE_WORKER_STORAGE", section: Storage, default: Value("s3-redis"), secret: false,
        example: "embedded",
        about: "`s3-redis` keeps assets in a bucket and records in Redis. `embedded` keeps both in a directory: one process, no servers.",
    }
    DATA_DIR {
        name: "ZE_WORKER_DATA_DIR", section: Storage, default: Value("./favonius-data"), secret: false,
        example: "/var/lib/favonius",
        about: "Directory of embedded storage. Made when it does not exist.",
    }
}
