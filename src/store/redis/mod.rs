/// Keeps sessions in Redis.
#[derive(Clone, Debug)]
pub struct RedisStore;
