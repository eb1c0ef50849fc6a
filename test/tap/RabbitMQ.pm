# A RabbitMQ of our own, as an ordinary user, on loopback, with nothing of the system's.
package RabbitMQ;

use strict;
use warnings;

use IO::Socket::INET;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

use MistralTest;

my $program = '/usr/lib/rabbitmq/bin/rabbitmq-server';

sub available { return -x $program }

# tls => DIRECTORY: it speaks TLS, too, with the files ca, server.crt and server.key there; of clients it takes certificates of that authority, or none.
sub new
{
	my ($class, %options) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my $self = bless { dir => $dir, port => PostgreSQL::Test::Cluster::get_free_port() }, $class;

	append_to_file("$dir/env", "\n");
	append_to_file("$dir/plugins", "[].\n");
	if ($options{tls})
	{
		$self->{tls_port} = PostgreSQL::Test::Cluster::get_free_port();
		append_to_file("$dir/rabbit.conf",
			join("\n", "listeners.ssl.1 = 127.0.0.1:$self->{tls_port}", "ssl_options.cacertfile = $options{tls}/ca", "ssl_options.certfile = $options{tls}/server.crt",
				"ssl_options.keyfile = $options{tls}/server.key", 'ssl_options.verify = verify_peer', 'ssl_options.fail_if_no_peer_cert = false', ''));
	}
	$self->{environment} = {
		HOME => $dir,
		RABBITMQ_MNESIA_BASE => "$dir/mnesia",
		RABBITMQ_LOG_BASE => "$dir/log",
		RABBITMQ_NODENAME => "mistral_$self->{port}\@localhost",
		RABBITMQ_NODE_PORT => $self->{port},
		RABBITMQ_NODE_IP_ADDRESS => '127.0.0.1',
		RABBITMQ_DIST_PORT => PostgreSQL::Test::Cluster::get_free_port(),
		RABBITMQ_CONFIG_FILE => $options{tls} ? "$dir/rabbit.conf" : "$dir/none",
		RABBITMQ_CONF_ENV_FILE => "$dir/env",
		RABBITMQ_ENABLED_PLUGINS_FILE => "$dir/plugins",
		RABBITMQ_GENERATED_CONFIG_DIR => "$dir/generated",
		RABBITMQ_PID_FILE => "$dir/pid",
		RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS => '-rabbit loopback_users []',
		ERL_EPMD_PORT => PostgreSQL::Test::Cluster::get_free_port(),
		ERL_EPMD_ADDRESS => '127.0.0.1'
	};
	return $self;
}

sub url
{
	my ($self, $password) = @_;
	return 'amqp://guest:' . ($password // 'guest') . "\@127.0.0.1:$self->{port}/%2F";
}

sub tls_url
{
	my ($self, $host, $password) = @_;
	return 'amqps://guest:' . ($password // 'guest') . "\@$host:$self->{tls_port}/%2F";
}

# True when it answers.
sub start
{
	my ($self) = @_;
	local %ENV = (%ENV, %{ $self->{environment} });

	$self->{process} = IPC::Run::start([$program], '<', \undef, '>', "$self->{dir}/out", '2>&1');
	return wait_for(
		sub {
			IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port}, Timeout => 1) && slurp_file("$self->{dir}/out") =~ /completed with/;
		},
		180);
}

# The pid of the virtual machine, which the script has become or started.
sub pid
{
	my ($self) = @_;
	my $pid = slurp_file("$self->{dir}/pid");
	chomp $pid;
	return $pid;
}

sub kill
{
	my ($self) = @_;
	return unless $self->{process};
	CORE::kill('KILL', $self->pid()) if -s "$self->{dir}/pid";
	$self->{process}->kill_kill(grace => 1);
	delete $self->{process};
	return;
}

sub stop
{
	my ($self) = @_;
	local %ENV = (%ENV, %{ $self->{environment} });

	$self->kill();
	# The port mapper that it has started.
	system('epmd -kill >/dev/null 2>&1');
	return;
}

sub peer
{
	my ($self, @arguments) = @_;
	my ($out, $err);

	IPC::Run::run([ $ENV{PYTHON} // 'python3', 'test/lib/amqp_peer.py', $self->url, @arguments ], '>', \$out, '2>', \$err) or die "amqp_peer.py: $err";
	return $out;
}

1;
