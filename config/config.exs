# Settings of this project's own dev and test runs. A project that uses DNSMesh never sees this file, and nothing in
# lib/ reads application environment: every option is given to the child spec.
import Config

# Tests capture the log and show it for the test that failed, so let them capture all of it.
config :logger, level: if(config_env() == :test, do: :debug, else: :info)
