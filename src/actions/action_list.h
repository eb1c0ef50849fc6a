/*
 * action_list.h
 *		One line for each built-in action, in order of name:
 *		ACTION(name, mode, function, parameters, description)
 *		MODULE_ACTION(name, module, parameters, description)
 *
 * Parameters are names separated by spaces; one with "=default" is optional.
 */
MODULE_ACTION("std.amqp", "mistral_amqp",
			  "url exchange=\"\" routing_key=\"\" body=null headers=null content_type=null persistent=true mandatory=true reply_to=null correlation_id=null ca_filename=null certificate_filename=null",
			  "Publishes a message through RabbitMQ, and ends when the broker has confirmed it.")
ACTION("std.approve", ACTION_ANSWER, NULL, "question details=null approvers=null escalate_to=null escalate_after=null",
	   "Asks a question and ends when somebody who may answer approves or rejects.")
ACTION("std.async_noop", ACTION_WAIT, NULL, "", "Does nothing until somebody completes it.")
ACTION("std.echo", ACTION_INLINE, run_echo, "output delay=0", "Gives back its input, after a delay in seconds.")
ACTION("std.email", ACTION_HTTP, NULL,
	   "from_addr to_addrs smtp_server reply_to=null cc_addrs=null bcc_addrs=null smtp_password=null subject=null body=null html_body=null verify=null ca=null",
	   "Sends an email message through an SMTP server.")
ACTION("std.fail", ACTION_INLINE, run_fail, "error_data=null", "Fails, with the data given.")
ACTION("std.http", ACTION_HTTP, NULL,
	   "url method=\"GET\" params=null body=null json=null headers=null cookies=null auth=null timeout=null allow_redirects=null proxies=null verify=null ca=null connect_timeout=null",
	   "Sends an HTTP request and gives its response.")
ACTION("std.mistral_http", ACTION_HTTP_WAIT, NULL,
	   "url method=\"GET\" params=null body=null json=null headers=null cookies=null auth=null timeout=null allow_redirects=null proxies=null verify=null ca=null connect_timeout=null",
	   "Sends an HTTP request and waits until somebody completes the action.")
ACTION("std.noop", ACTION_INLINE, run_noop, "", "Does nothing.")
ACTION("std.sleep", ACTION_INLINE, run_sleep, "seconds=1", "Ends after some seconds.")
ACTION("std.sql", ACTION_SQL, NULL, "query params=[]", "Runs an SQL statement with the rights of the execution's owner, and gives its rows.")
MODULE_ACTION("std.ssh", "mistral_ssh", "cmd host username password=null private_key_filename=null private_key=null",
			  "Runs a command on a host, or on each of several, over SSH, and gives its output.")
MODULE_ACTION("std.ssh_proxied", "mistral_ssh",
			  "cmd host username private_key_filename gateway_host gateway_username=null password=null proxy_command=null private_key=null",
			  "Runs a command on a host, or on each of several, that is reached over a gateway, over SSH, and gives its output.")
ACTION("std.test_dict", ACTION_INLINE, run_test_dict, "size=0 key_prefix=\"\" val=\"\"", "Gives an object of the size asked for.")
ACTION("std.wait_event", ACTION_EVENT, NULL, "event match=null exchange=null topic=null lookback=null",
	   "Waits for an event that matches, and gives it.")
