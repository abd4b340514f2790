//! Keys of the back ends and of replication.

use super::{
    Fallback::{Required, Unset, Value},
    keys,
};

keys! { BACKENDS:

    S3_ENDPOINT {
        name: "ZE_WORKER_S3_ENDPOINT", section: S3, default: Required, secret: false,
        example: "https://s3.eu-central-1.amazonaws.com",
        about: "URL of the S3-compatible service, http or https.",
    }
    S3_BUCKET {
        name: "ZE_WORKER_S3_BUCKET", section: S3, default: Required, secret: false,
        example: "favonius-assets",
        about: "Bucket for assets.",
    }
    S3_CREDENTIALS {
        name: "ZE_WORKER_S3_CREDENTIALS", section: S3, default: Value("static"), secret: false,
        example: "environment",
        about: "`static` signs with the two keys below, which are then required. `environment` uses what the platform gives: web identity, container or instance credentials.",
    }
    S3_ACCESS_KEY_ID {
        name: "ZE_WORKER_S3_ACCESS_KEY_ID", section: S3, default: Required, secret: true,
        example: "the id your S3 service made with the secret key",
        about: "Access key id. Not needed when `ZE_WORKER_S3_CREDENTIALS` is `environment`.",
    }
    S3_SECRET_ACCESS_KEY {
        name: "ZE_WORKER_S3_SECRET_ACCESS_KEY", section: S3, default: Required, secret: true,
        example: "the secret your S3 service showed with the key id",
        about: "Secret key. Not needed when `ZE_WORKER_S3_CREDENTIALS` is `environment`.",
    }
    S3_REGION {
        name: "ZE_WORKER_S3_REGION", section: S3, default: Value("us-east-1"), secret: false,
        example: "eu-central-1",
        about: "Region that requests are signed for.",
    }
    S3_FORCE_PATH_STYLE {
        name: "ZE_WORKER_S3_FORCE_PATH_STYLE", section: S3, default: Value("true"), secret: false,
        example: "false",
        about: "`true` puts the bucket into the path, as MinIO, Ceph and Garage need it; `false` into the hostname.",
    }
    S3_CA_FILE {
        name: "ZE_WORKER_S3_CA_FILE", section: S3, default: Unset, secret: false,
        example: "/etc/favonius/ca/s3.pem",
        about: "PEM bundle of the certificate authorities to trust for the endpoint. Unset, the roots of the system are.",
    }
    S3_CONNECTION_TIMEOUT_MS {
        name: "ZE_WORKER_S3_CONNECTION_TIMEOUT_MS", section: S3, default: Value("5000"), secret: false,
        example: "5000",
        about: "Longest time to establish a connection, in milliseconds.",
    }
    S3_REQUEST_TIMEOUT_MS {
        name: "ZE_WORKER_S3_REQUEST_TIMEOUT_MS", section: S3, default: Value("30000"), secret: false,
        example: "30000",
        about: "Longest time for a request other than an upload, in milliseconds.",
    }
    S3_UPLOAD_REQUEST_TIMEOUT_MS {
        name: "ZE_WORKER_S3_UPLOAD_REQUEST_TIMEOUT_MS", section: S3, default: Value("60000"), secret: false,
        example: "60000",
        about: "Longest time for an upload, in milliseconds.",
    }
    S3_MAX_SOCKETS {
        name: "ZE_WORKER_S3_MAX_SOCKETS", section: S3, default: Value("200"), secret: false,
        example: "200",
        about: "Most requests under way at once (kept-alive sockets), per worker. Further ones queue.",
    }
    S3_SOCKET_WARNING_TIMEOUT_MS {
        name: "ZE_WORKER_S3_SOCKET_ACQUISITION_WARNING_TIMEOUT_MS", section: S3, default: Value("35000"), secret: false,
        example: "35000",
        about: "A request that has queued this long for a socket logs a warning, in milliseconds.",
    }

    REDIS_HOST {
        name: "ZE_WORKER_REDIS_HOST", section: Redis, default: Required, secret: false,
        example: "redis.example.com",
        about: "Host of Redis (or what speaks its protocol), `host` or `host:port`. With mode `cluster` or `sentinel` a comma-separated list of hosts to start from.",
    }
    REDIS_PORT {
        name: "ZE_WORKER_REDIS_PORT", section: Redis, default: Value("6379"), secret: false,
        example: "6379",
        about: "Port of every host that has none of its own. In mode `sentinel` the default is 26379, where Sentinels listen.",
    }
    REDIS_MODE {
        name: "ZE_WORKER_REDIS_MODE", section: Redis, default: Value("single"), secret: false,
        example: "cluster",
        about: "`single` server, Redis `cluster`, or `sentinel` in front of a replicated server.",
    }
    REDIS_SENTINEL_MASTER {
        name: "ZE_WORKER_REDIS_SENTINEL_MASTER", section: Redis, default: Unset, secret: false,
        example: "mymaster",
        about: "Name by which the Sentinels know the master. Required in mode `sentinel`.",
    }
    REDIS_USERNAME {
        name: "ZE_WORKER_REDIS_USERNAME", section: Redis, default: Unset, secret: false,
        example: "favonius",
        about: "ACL user.",
    }
    REDIS_PASSWORD {
        name: "ZE_WORKER_REDIS_PASSWORD", section: Redis, default: Unset, secret: true,
        example: "the password of the Redis user",
        about: "Password.",
    }
    REDIS_TLS {
        name: "ZE_WORKER_REDIS_TLS", section: Redis, default: Value("false"), secret: false,
        example: "true",
        about: "`true` connects with TLS.",
    }
    REDIS_CA_FILE {
        name: "ZE_WORKER_REDIS_CA_FILE", section: Redis, default: Unset, secret: false,
        example: "/etc/favonius/ca/redis.pem",
        about: "PEM bundle of the certificate authorities to trust for Redis. Unset, the roots of the system are.",
    }
    REDIS_DB {
        name: "ZE_WORKER_REDIS_DB", section: Redis, default: Value("0"), secret: false,
        example: "0",
        about: "Database number. A cluster has only `0`.",
    }
    REDIS_PREFIX_ENVS {
        name: "ZE_WORKER_REDIS_PREFIX_ENVS", section: Redis, default: Value("{ze-k8s-worker}:envs:"), secret: false,
        example: "{ze-k8s-worker}:envs:",
        about: "Prefix of the records by hostname. The part in braces is the hash tag that keeps all keys of a fleet on one cluster slot; every other key of the worker carries it too.",
    }
    REDIS_PREFIX_SNAPSHOTS {
        name: "ZE_WORKER_REDIS_PREFIX_SNAPSHOTS", section: Redis, default: Value("{ze-k8s-worker}:snapshots:"), secret: false,
        example: "{ze-k8s-worker}:snapshots:",
        about: "Prefix of the snapshots. In mode `cluster` with the same hash tag as the other.",
    }

    REPLICA_NAME {
        name: "ZE_WORKER_REPLICA_NAME", section: Replication, default: Unset, secret: false,
        example: "eu-central-1-a",
        about: "Name of this instance in logs and towards other regions. Setting it turns replication on.",
    }
    REPLICAS_URLS {
        name: "ZE_WORKER_REPLICAS_URLS", section: Replication, default: Value("[]"), secret: false,
        example: "https://edge.us.example.com,https://edge.ap.example.com",
        about: "Where changes are sent: one URL for each other region, that of its load balancer. A comma-separated string, a string with a JSON array or, in the file, an array. Empty means receive-only.",
    }
    REPLICATION {
        name: "ZE_WORKER_REPLICATION", section: Replication, default: Value("worker"), secret: false,
        example: "relay",
        about: "Who delivers changes: the `worker` itself, or `relay` to leave it to `favonius-relay`, which needs storage that it can share, not `embedded`.",
    }
    READ_THROUGH {
        name: "ZE_WORKER_READ_THROUGH", section: Replication, default: Value("true"), secret: false,
        example: "false",
        about: "Whether a file that a deployment lists and the bucket lacks is fetched from another region when it is asked for: `true`, or `false` to answer 503 until it has come.",
    }
    REPAIR_INTERVAL_MS {
        name: "ZE_WORKER_REPAIR_INTERVAL_MS", section: Replication, default: Value("600000"), secret: false,
        example: "600000",
        about: "Time between two comparisons with each other region, in milliseconds, from 1 s to one day. What differs is sent.",
    }
}
