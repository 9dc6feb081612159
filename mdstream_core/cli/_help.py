"""The texts of `--help` that are no single option: descriptions, examples, forms of ENDPOINT, exit codes."""

DESCRIPTION = """\
Chat with, check and emulate models on OCI Data Science model deployments, OCI
Generative AI, Amazon SageMaker and Huawei ModelArts."""

EXIT_CODES = """\
Exit codes:
  0    success
  1    the service failed, or a check failed
  2    the command line is invalid
  3    a credential or a Python package is missing on this machine
  130  interrupted with Ctrl-C"""

EXAMPLES = """\
Examples:
  mdstream demo
  mdstream check ocid1.datasciencemodeldeployment.oc1.iad.…
  mdstream chat my-endpoint --region us-east-1 "Name three rivers."
  mdstream COMMAND --help"""

ENDPOINT_FORMS = """\
Forms of ENDPOINT, and the platform that each selects:
  ocid1.datasciencemodeldeployment.…, or its URL      oci-model-deployment
  https://inference.generativeai.REGION.oci.…,
    or the OCID of a dedicated endpoint               oci-genai
  NAME, arn:aws:sagemaker:…, https://…/endpoints/NAME sagemaker
  https:// or wss://…modelarts…, …/v1/infers/ID       modelarts
Use --platform for any other address, such as a gateway."""

SECRETS = """\
Secrets are never passed on the command line, where other users and the shell
history can see them. Without --api-key, credentials come from MDSTREAM_API_KEY
and from where the platforms' own tools read them: ~/.oci/config, AWS_*,
HUAWEICLOUD_SDK_*, MODELARTS_*."""

CHAT = """\
Examples:
  mdstream chat ocid1.datasciencemodeldeployment.oc1.iad.… "Name three rivers."
  echo "Name three rivers." | mdstream chat my-endpoint --region us-east-1
  mdstream chat https://inference.generativeai.us-chicago-1.oci.oraclecloud.com \\
      --model xai.grok-4 --compartment ocid1.compartment.oc1..…
  mdstream chat https://api.modelarts-maas.com/v1 --model deepseek-v3 \\
      --api-key env:MAAS_API_KEY "Hello!"

A conversation has the commands /help, /exit, /model NAME, /system TEXT and
/save FILE. A pasted text is one message with its line breaks."""

RECORD = """\
Credentials are removed, and placeholders of the same length replace prompts,
responses and error messages. Play the file back with mdstream emulate --replay.

Examples:
  mdstream record my-endpoint --region us-east-1 "Hello!" -o failure.jsonl
  mdstream emulate --replay failure.jsonl"""

CHECK_DESCRIPTION = """\
Checks the credentials, DNS, TCP, TLS, the clock, authentication, the model,
streaming, tools and embeddings, and prints OK, WARN, FAIL or SKIP for each,
failures first. Sends up to five short requests, which are billed as usual."""

CHECK = """\
Examples:
  mdstream check ocid1.datasciencemodeldeployment.oc1.iad.… --profile TEAM
  mdstream check arn:aws:sagemaker:eu-west-1:123456789012:endpoint/llama --json
  mdstream check wss://infer-modelarts-cn-north-4.modelarts-infer.com/v1/infers/8e1b \\
      --auth-type aksk"""

MODELS = """\
Examples:
  mdstream models https://modeldeployment.us-ashburn-1.oci.customer-oci.com/ocid1.…
  mdstream models https://api.modelarts-maas.com/v1 --api-key env:MAAS_API_KEY --json
  mdstream models --compartment ocid1.compartment.oc1..… --region us-ashburn-1

Without ENDPOINT, the active model deployments of --compartment are listed, with
the names of AQUA's models. This needs the oci SDK (extra oci)."""

DEMO = """\
Examples:
  mdstream demo
  mdstream demo --platform sagemaker --fast"""

EMULATE = """\
Examples:
  mdstream emulate --port 8080
  mdstream emulate --flavour tgi --delay 0
  mdstream emulate --upstream http://127.0.0.1:11434/v1
  mdstream emulate --replay failure.jsonl
  mdstream emulate --delay 0 --requests-per-second 150 --burst 20"""

COMPLETION = """\
Examples:
  mdstream completion bash > ~/.local/share/bash-completion/completions/mdstream
  mdstream completion zsh  > ~/.mdstream.zsh     (and in .zshrc: source ~/.mdstream.zsh)
  mdstream completion fish > ~/.config/fish/completions/mdstream.fish"""
