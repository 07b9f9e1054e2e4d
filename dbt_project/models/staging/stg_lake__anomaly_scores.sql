with source as (

    select * from {{ source('lake', 'anomaly_scores') }}

),

renamed as (

    select
        -- identity
        underlying,
        symbol,
        root,
        expiry_date,
        expires_at,
        strike,
        "right",
        is_simulated,
        slot,

        -- where it stands
        spot,
        moneyness,
        days_to_expiry,

        -- score
        p_value,
        q_value,
        score,
        is_anomaly,
        severity,
        drivers,
        driver_p_values,
        words,

        -- what it rests on
        history_status,
        history_sessions,
        unscored_reason,
        volume_contracts,
        usual_volume_contracts,
        volume_level,
        volume_shift,
        iv_residual_shift,

        -- measures
        z_volume_contracts_netted,
        z_premium_usd,
        z_vega_traded_usd_per_vol_point,
        z_premium_over_vega,
        z_volume_over_open_interest,
        z_open_interest_change_contracts,
        z_iv_residual_half_spreads,
        z_spread_relative,
        z_open_probability,
        z_flow_imbalance,
        z_sweep_share,
        z_burst_share,
        z_volume_burst,
        z_iv_residual_burst,

        -- dates and instants
        session_date,
        event_at,
        known_at,
    from source

)

select * from renamed
